export { ActionError, type ActionErrorCode } from './actions/action-error.ts'
export type { Admission } from './admission.ts'
export { serviceDocumentJsonSchema } from './document/document-schema.ts'
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
export type { KafkaConnection } from './kafka/kafka-clients.ts'
export { ServicePublisher, type ServicePublisherOptions } from './kafka/service-publisher.ts'
export type { EdgeRequest, TransportName } from './operation.ts'
export type { Handler } from './operations/business-api.ts'
export type { EdgeFunction } from './operations/edge-controller.ts'
export { Problem } from './problem.ts'
export { type EdgeAnswerOptions, edgeAnswer } from './rest/edge-answer.ts'
export { type CreateServiceOptions, createService, type Service } from './service.ts'
export type { EventPublisher, ServiceActions, ServiceContext, ServiceLogger } from './service-context.ts'
export {
  type DocumentFault,
  type Position,
  ServiceError,
  type ServiceErrorCode,
  type ServiceErrorDetails,
} from './service-error.ts'
export type { ServiceTokenExtras } from './service-tokens.ts'
export type { VerifySession } from './session/create-sessions.ts'
export type { Session } from './session/session.ts'
