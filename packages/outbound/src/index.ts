export {
  type GuardedFetch,
  type GuardedFetchOptions,
  type GuardedResponse,
  guardedFetch,
} from './guarded-fetch.ts'
export { createJwksSource, type JwksSource, type JwksSourceOptions } from './jwks-source.ts'
export { KeptDocument, type KeptDocumentOptions, type LoadedDocument } from './kept-document.ts'
export { OutboundError, type OutboundErrorCode } from './outbound-error.ts'
export { isPublicAddress } from './public-address.ts'
