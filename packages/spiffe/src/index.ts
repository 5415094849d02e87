export { type Bundle, type BundleParts, type BundleSet, createBundle, type JwtAuthority } from './bundles/bundle.ts'
export {
  formatBundleDocument,
  formatJwtBundle,
  parseBundleDocument,
  parseJwtBundle,
} from './bundles/bundle-document.ts'
export { type CaCertificateOptions, createCaCertificate } from './certificates/ca-certificate.ts'
export {
  type Certificate,
  certificateThumbprint,
  parseCertificate,
  parseCertificates,
} from './certificates/certificate.ts'
export {
  type CertificateIssuer,
  createCertificateIssuer,
  type LeafTemplate,
} from './certificates/certificate-issuer.ts'
export { type CertificateRequest, parseCertificateRequest } from './certificates/certificate-request.ts'
export { createCertificateRequest } from './certificates/create-certificate-request.ts'
export {
  type DistinguishedName,
  type NameAttribute,
  readDistinguishedName,
  type Subject,
} from './certificates/distinguished-name.ts'
export type { ExtendedKeyUsage, KeyUsage } from './certificates/extensions.ts'
export { checkDistinguishedName, matchesDistinguishedName } from './certificates/match-distinguished-name.ts'
export { formatPemCertificates, parsePemCertificates, toPem } from './certificates/pem.ts'
export { newSerialNumber } from './certificates/serial-number.ts'
export { shownCertificates } from './certificates/shown-certificates.ts'
export { type ChainOptions, verifyCertificateChain } from './certificates/verify-chain.ts'
export {
  isSpiffeId,
  parseSpiffeId,
  parseTrustDomain,
  type SpiffeId,
  spiffeId,
} from './ids/spiffe-id.ts'
export { checkSpiffePattern, matchesSpiffePattern } from './ids/spiffe-pattern.ts'
export { agentId, isAgentId, isSystemId, serverId } from './ids/system-ids.ts'
export { SpiffeError, type SpiffeErrorCode } from './spiffe-error.ts'
export { type JwtSvid, type JwtSvidRules, parseJwtSvidUnverified, verifyJwtSvid } from './svids/jwt-svid.ts'
export { type JwtSvidToSign, signJwtSvid } from './svids/sign-jwt-svid.ts'
export { parseX509Svid, verifyX509Svid, type X509Svid } from './svids/x509-svid.ts'
