export { type AuditReporter, type AuditReporterOptions, createAuditReporter } from './audit/audit-reporter.ts'
export type { CarrierFault, RequestLike } from './bearer-token.ts'
export type { Caller, CredentialMethod } from './caller.ts'
export { createGuard, type Guard } from './guard.ts'
export { GuardConfigurationError, GuardError, type GuardErrorCode, type Problem } from './guard-error.ts'
export type { AcceptEvent, GuardOptions, RefusalEvent } from './guard-options.ts'
export type { Requirement, ServiceTokenMode } from './requirement.ts'
export { createRevocationFeed, type RevocationFeedOptions } from './revocation/revocation-feed.ts'
export type { RevocableToken, RevocationSource } from './revocation/revocation-source.ts'
export { type AccessLists, mergeAccessLists } from './service-token/access-lists.ts'
export { type ReceiverSettings, receiverFromEnvironment } from './service-token/environment.ts'
export { findServiceToken } from './service-token/find-service-token.ts'
export type {
  ReceivedCall,
  ReceivedGrpcCall,
  ReceivedHttpCall,
  ReceivedKafkaRecord,
} from './service-token/received-call.ts'
export { createSenderKeys, type SenderKeysOptions } from './service-token/sender-keys.ts'
export type { ServiceCaller, ServiceTokenPayload } from './service-token/service-caller.ts'
export type { SenderKeys, ServiceTokenOptions, ServiceTokenUses } from './service-token/service-token-options.ts'
export { createServiceTokenVerifier, type ServiceTokenVerifier } from './service-token/service-token-verifier.ts'
export { type Stage, stageOf } from './service-token/stage.ts'
export type { ServiceTokenValidation } from './service-token/validation.ts'
export type { IssuerOptions, KeySource } from './trusted-issuer.ts'
