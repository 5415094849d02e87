export type { AuthenticationMethod, JwtSvidSource, PrivateKeyOption } from './authentication.ts'
export { type CountersignClient, createClient, type ObtainedAccessToken, type TokenOptions } from './client.ts'
export { ClientError, type ClientErrorCode, type ClientErrorDetails } from './client-error.ts'
export type { ClientOptions } from './options.ts'
export {
  createServiceDirectory,
  type ServiceDirectory,
  type ServiceDirectoryOptions,
} from './service-token/service-directory.ts'
export {
  createServiceSigner,
  type ServiceSigner,
  type ServiceSignerOptions,
  type ServiceTokenProfile,
} from './service-token/service-signer.ts'
export type { SigningOptions } from './service-token/signed-call.ts'
export { createSignedFetch, type SignedFetchOptions } from './service-token/signed-fetch.ts'
export { signerFromEnvironment } from './service-token/signer-from-environment.ts'
export type { Target } from './targets.ts'
export type { StoredToken, TokenStore } from './token-store.ts'
