export type { Admission } from './admission.ts'
export { type ReadOptions, readServiceDocument } from './document/read-service-document.ts'
export type {
  ApiCallAction,
  AuthOptions,
  BusinessApi,
  EdgeController,
  GrpcMethod,
  InterserviceCallAction,
  JsonSchema,
  PublishEventAction,
  Route,
  ServiceDocument,
  ServiceOptions,
} from './document/service-document.ts'
export { compileExpression, type Expression } from './expressions/expression.ts'
export type { EdgeRequest, OperationCall, ServiceTokenPayload, TransportName } from './operation.ts'
export { Problem } from './problem.ts'
export type { EventPublisher, ServiceActions, ServiceContext, ServiceLogger } from './service-context.ts'
export {
  type DocumentFault,
  type Position,
  ServiceError,
  type ServiceErrorCode,
  type ServiceErrorDetails,
} from './service-error.ts'
export type { Session, SessionVerifier } from './session/session.ts'
