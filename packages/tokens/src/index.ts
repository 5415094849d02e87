export type { SigningAlgorithm, VerificationAlgorithm } from './algorithms.ts'
export { decodeBase64url, encodeBase64url } from './base64url.ts'
export { canonicalJson } from './json/canonical-json.ts'
export { type JsonLimits, parseJson } from './json/parse-json.ts'
export type { JoseHeader } from './jwt/jose-header.ts'
export { type JwtClaims, type ParsedJws, parseJwt } from './jwt/parse-jwt.ts'
export { createSigner, type Signer, type SignerOptions } from './jwt/signer.ts'
export { verifySignature } from './jwt/verify-signature.ts'
export { type GeneratedKey, generateSigningKey } from './keys/generate-key.ts'
export { parseJwks, selectKey } from './keys/key-set.ts'
export { importPrivateJwk, importPrivatePem, type PrivateKey, signingAlgorithmOf } from './keys/private-key.ts'
export { importPublicJwk, type PublicJwk, type VerificationKey } from './keys/public-jwk.ts'
export { jwkThumbprint } from './keys/thumbprint.ts'
export { type AccessTokenClaims, type AccessTokenRules, checkAccessTokenClaims } from './oauth/access-token.ts'
export {
  assertionClientId,
  type ClientAssertionOptions,
  type ClientAssertionRules,
  checkClientAssertion,
  signClientAssertion,
} from './oauth/client-assertion.ts'
export { createClientSecret, isWellFormedClientSecret } from './oauth/client-secret.ts'
export { formatScope, isScopeToken, parseScope } from './oauth/scope.ts'
export { Secret } from './secret.ts'
export {
  type CallBinding,
  contentDigest,
  grpcBinding,
  httpBinding,
  kafkaMessageBinding,
  kafkaRecordBinding,
  withoutTokenFields,
} from './service-token/call-binding.ts'
export { md5MessageHash, md5RequestHash, md5RequestHashes } from './service-token/md5-hash.ts'
export {
  checkMd5Token,
  createMd5TokenSigner,
  type Md5TokenClaims,
  type Md5TokenSigner,
  type Md5TokenSignerOptions,
  md5TokenSender,
} from './service-token/md5-token.ts'
export { isServiceShortName, serviceName, serviceShortName } from './service-token/service-name.ts'
export {
  checkServiceToken,
  isServiceToken,
  type ServiceTokenClaims,
  type ServiceTokenRules,
  serviceTokenIssuedAt,
  serviceTokenSender,
} from './service-token/service-token.ts'
export { type ServiceTokenReason, serviceTokenReason } from './service-token/service-token-reason.ts'
export {
  createServiceTokenSigner,
  type ServiceTokenSigner,
  type ServiceTokenSignerOptions,
} from './service-token/service-token-signer.ts'
export { parseTokenMessage } from './service-token/token-message.ts'
export { type ServiceTokenHeader, serviceTokenFields, serviceTokenHeaders } from './service-token/token-places.ts'
export { TokenError, type TokenErrorCode } from './token-error.ts'
