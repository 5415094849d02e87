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
export {
  type DocumentFault,
  type Position,
  ServiceError,
  type ServiceErrorCode,
  type ServiceErrorDetails,
} from './service-error.ts'
