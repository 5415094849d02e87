import type { GuardedFetchOptions } from '@countersign/outbound'
import type { VerificationAlgorithm } from '@countersign/tokens'
import type { AccessTokenRules } from './access-token.ts'
import type { RequestLike } from './bearer-token.ts'
import type { Caller } from './caller.ts'
import { GuardConfigurationError, type GuardError } from './guard-error.ts'
import { type JwtSvidOptions, type JwtSvidSettings, readJwtSvidOptions } from './jwt-svid/jwt-svid-options.ts'
import { type MtlsOptions, type MtlsSettings, readMtlsOptions } from './mtls/mtls-options.ts'
import { type CertificateProxyOptions, createCertificateProxy } from './peer-certificate/certificate-proxy.ts'
import { createFindPeerCertificate, type FindPeerCertificate } from './peer-certificate/peer-certificates.ts'
import { createRevocationFeed, type RevocationFeedOptions } from './revocation/revocation-feed.ts'
import type { RevocationSource } from './revocation/revocation-source.ts'
import type { ServiceTokenOptions } from './service-token/service-token-options.ts'
import { createServiceTokenVerifier, type ServiceTokenVerifier } from './service-token/service-token-verifier.ts'
import { type IssuerOptions, type TrustedIssuer, trustIssuer } from './trusted-issuer.ts'
import { createVerifiedTokens, noVerifiedTokens, type VerifiedTokens } from './verified-tokens.ts'

export interface GuardOptions {
  /**
   * Whose access tokens are taken: names exactly as in `iss`, or names with where their keys are. Needed unless `serviceTokens`,
   * `mtls` or `jwtSvid` is given.
   */
  readonly issuer?: string | IssuerOptions | readonly (string | IssuerOptions)[]
  /** The names of this API; a token must carry one of them in `aud`. Needed with `issuer`. */
  readonly audience?: string | readonly string[]
  /** Takes request-bound service tokens, too or only. */
  readonly serviceTokens?: ServiceTokenOptions | ServiceTokenVerifier
  /** Takes callers by the certificate of their connection, too or only. */
  readonly mtls?: MtlsOptions
  /** Takes JWT-SVIDs as Bearer tokens, too or only. */
  readonly jwtSvid?: JwtSvidOptions
  /** A proxy that ends TLS and tells of the client's certificate in a header. */
  readonly certificateProxy?: CertificateProxyOptions
  /** How far the clocks may be apart. Default 5, at most 60. */
  readonly leewaySeconds?: number
  /** Default: every asymmetric algorithm that is supported. */
  readonly algorithms?: readonly VerificationAlgorithm[]
  /** How many verified tokens are remembered. Default 100,000; 0 remembers none. */
  readonly tokenCacheSize?: number
  /** How long a remembered token passes without its signature being checked again. Default 60. */
  readonly tokenCacheSeconds?: number
  /** How long an issuer's keys serve when it cannot be reached. Default 3600. */
  readonly staleKeysSeconds?: number
  /** What was revoked before its time: a server's feed, or any source. */
  readonly revocations?: RevocationSource | RevocationFeedOptions
  /** Named in challenges. Default: the first audience. */
  readonly realm?: string
  /** For fetching keys and metadata. Plain http passes only on the machine itself, unless `allowHttp`. */
  readonly fetchOptions?: GuardedFetchOptions
  readonly onAccept?: (event: AcceptEvent) => void
  readonly onRefusal?: (event: RefusalEvent) => void
  /** Milliseconds since the epoch. Default Date.now. */
  readonly now?: () => number
}

export interface AcceptEvent {
  readonly caller: Caller
  readonly request?: RequestLike
}

export interface RefusalEvent {
  /** `cause` holds what the answer must not tell. */
  readonly error: GuardError
  /** Whoever was refused for a missing scope. */
  readonly caller?: Caller
  readonly request?: RequestLike
}

export interface GuardSettings {
  readonly rules: AccessTokenRules
  readonly realm: string
  readonly known: VerifiedTokens
  readonly revocations: RevocationSource | undefined
  readonly serviceTokens: ServiceTokenVerifier | undefined
  readonly mtls: MtlsSettings | undefined
  readonly jwtSvid: JwtSvidSettings | undefined
  readonly findPeerCertificate: FindPeerCertificate
  readonly now: () => number
  readonly onAccept: GuardOptions['onAccept']
  readonly onRefusal: GuardOptions['onRefusal']
}

/** The options with defaults filled in. Throws GuardConfigurationError for what cannot be safe. */
export function readGuardOptions(options: GuardOptions): GuardSettings {
  const serviceTokens = readServiceTokens(options)
  const takesAccessTokens = namesIssuer(options)
  const audiences = takesAccessTokens || options.audience !== undefined ? namesOf(options.audience, 'audience') : []
  const issuers = takesAccessTokens ? readIssuers(options) : noIssuers
  const mtls = options.mtls && readMtlsOptions(options.mtls)
  const jwtSvid = options.jwtSvid && readJwtSvidOptions(options.jwtSvid, audiences)
  const { tokenCacheSize = 100_000, tokenCacheSeconds = 60, certificateProxy, now = Date.now } = options
  const revocations = readRevocations(options, issuers)
  const isRevokedSerial = (serialNumber: string) => revocations?.isRevokedSerial?.(serialNumber) === true
  const proxy = certificateProxy && createCertificateProxy(certificateProxy, mtls?.bundles, isRevokedSerial)
  return {
    rules: { issuers, audiences, leewaySeconds: inRange(options.leewaySeconds ?? 5, 0, 60, 'leewaySeconds') },
    realm: options.realm ?? audiences[0] ?? serviceTokens?.name ?? jwtSvid?.audiences[0] ?? 'mtls',
    serviceTokens,
    mtls,
    jwtSvid,
    findPeerCertificate: createFindPeerCertificate(proxy, now),
    known:
      inRange(tokenCacheSize, 0, 10_000_000, 'tokenCacheSize') === 0
        ? noVerifiedTokens
        : createVerifiedTokens({
            maximumTokens: tokenCacheSize,
            recheckSeconds: inRange(tokenCacheSeconds, 1, 3_600, 'tokenCacheSeconds'),
          }),
    revocations,
    now,
    onAccept: options.onAccept,
    onRefusal: options.onRefusal,
  }
}

/** A guard that is told of no other way takes access tokens; `audience` may be that of JWT-SVIDs. */
function namesIssuer({ issuer, audience, serviceTokens, mtls, jwtSvid }: GuardOptions): boolean {
  if (issuer !== undefined) return true
  if (serviceTokens === undefined && mtls === undefined && jwtSvid === undefined) return true
  return audience !== undefined && jwtSvid === undefined
}

const noIssuers: ReadonlyMap<string, TrustedIssuer> = new Map()

function readServiceTokens({ serviceTokens, now }: GuardOptions): ServiceTokenVerifier | undefined {
  if (serviceTokens === undefined || 'verifyRequest' in serviceTokens) return serviceTokens
  return createServiceTokenVerifier({ now, ...serviceTokens })
}

function readIssuers(options: GuardOptions): ReadonlyMap<string, TrustedIssuer> {
  const given = [options.issuer ?? []].flat() as readonly (string | IssuerOptions)[]
  const algorithms = checkedAlgorithms(options.algorithms ?? asymmetricAlgorithms)
  const fetching = {
    fetchOptions: options.fetchOptions ?? {},
    staleKeysSeconds: inRange(options.staleKeysSeconds ?? 3_600, 0, 86_400, 'staleKeysSeconds'),
    now: options.now,
  }
  const issuers = new Map<string, TrustedIssuer>()
  for (const each of given) {
    const issuer = typeof each === 'string' ? { issuer: each } : each
    if (issuer?.algorithms !== undefined) checkedAlgorithms(issuer.algorithms)
    const trusted = trustIssuer(issuer, algorithms, fetching)
    if (issuers.has(trusted.issuer)) throw new GuardConfigurationError(`issuer ${trusted.issuer} is given twice`)
    issuers.set(trusted.issuer, trusted)
  }
  if (issuers.size === 0)
    throw new GuardConfigurationError('a guard needs an issuer to trust; without one it could check nothing')
  return issuers
}

/** From JavaScript anything may come: with a secret-key algorithm the published key would be the secret. */
function checkedAlgorithms(algorithms: readonly VerificationAlgorithm[]): readonly VerificationAlgorithm[] {
  const unknown = algorithms.find((algorithm) => !asymmetricAlgorithms.includes(algorithm))
  if (unknown !== undefined)
    throw new GuardConfigurationError(
      `algorithm "${unknown}" is not supported; a guard takes ${asymmetricAlgorithms.join(', ')}`,
    )
  if (algorithms.length === 0)
    throw new GuardConfigurationError('"algorithms" is an empty list; leave it out for the default')
  return algorithms
}

function readRevocations(
  options: GuardOptions,
  issuers: ReadonlyMap<string, TrustedIssuer>,
): RevocationSource | undefined {
  const { revocations } = options
  if (revocations === undefined) return undefined
  const source =
    'isRevoked' in revocations ? revocations : createRevocationFeed(forIssuer(revocations, issuers, options))
  source.onRevokedKey?.((kid, issuer) => {
    for (const each of issuers.values()) if (issuer === undefined || each.issuer === issuer) each.keys.drop?.(kid)
  })
  return source
}

/** What one issuer revokes says nothing of another's tokens. */
function forIssuer(
  feed: RevocationFeedOptions,
  issuers: ReadonlyMap<string, TrustedIssuer>,
  { now }: GuardOptions,
): RevocationFeedOptions {
  if (feed.issuer === undefined && issuers.size > 1) {
    throw new GuardConfigurationError('with several issuers, "revocations" needs "issuer": whose feed it is')
  }
  return { now, issuer: [...issuers.keys()][0], ...feed }
}

function namesOf(given: string | readonly string[] | undefined, option: string): readonly string[] {
  const names = [given ?? []].flat() as readonly unknown[]
  const good = names.length > 0 && names.every((name) => typeof name === 'string' && name !== '')
  if (!good)
    throw new GuardConfigurationError(
      `"${option}" must be a name or a list of names; a guard without one would pass tokens made for others`,
    )
  return names as readonly string[]
}

function inRange(value: number, least: number, most: number, option: string): number {
  if (Number.isFinite(value) && value >= least && value <= most) return value
  throw new GuardConfigurationError(`"${option}" must be a number from ${least} to ${most}`)
}

const asymmetricAlgorithms: readonly VerificationAlgorithm[] = [
  'ES256',
  'RS256',
  'EdDSA',
  'Ed25519',
  'ES384',
  'ES512',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
]
