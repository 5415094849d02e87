import type { GuardedFetchOptions } from '@countersign/outbound'
import { createJwksSource } from '@countersign/outbound'
import type { VerificationAlgorithm, VerificationKey } from '@countersign/tokens'
import { discoverKeys } from './discovered-keys.ts'
import { fetchRulesFor } from './fetch-rules.ts'
import { GuardConfigurationError } from './guard-error.ts'

/** Where the keys of an issuer come from; `createJwksSource` of @countersign/outbound makes one. */
export interface KeySource {
  /** The key that fits the header, `undefined` when the issuer has none. Rejects when the keys cannot be had. */
  keyFor(header: { kid?: string; alg: string }): Promise<VerificationKey | undefined>
  /** The same without waiting; `undefined` when that takes a look at the issuer. */
  keyForSync?(header: { kid?: string; alg: string }): VerificationKey | undefined
  /** Never answer with this key again. */
  drop?(kid: string): void
}

export interface IssuerOptions {
  /** Exactly as it stands in tokens, trailing slash included. */
  readonly issuer: string
  /** Without it, `jwks_uri` of the issuer's metadata (RFC 8414) is used. */
  readonly jwksUrl?: string
  /** Keys from somewhere else than a URL. */
  readonly jwks?: KeySource
  /** Narrows the guard's list for this issuer. */
  readonly algorithms?: readonly VerificationAlgorithm[]
}

export interface TrustedIssuer {
  readonly issuer: string
  readonly algorithms: readonly VerificationAlgorithm[]
  readonly keys: KeySource
}

export interface KeyFetching {
  readonly fetchOptions: GuardedFetchOptions
  readonly staleKeysSeconds: number
  /** Milliseconds that only go forward; by default the process's monotonic clock. */
  readonly now?: () => number
}

/** What `createGuard` works with for one issuer. Throws GuardConfigurationError. */
export function trustIssuer(
  options: IssuerOptions,
  algorithms: readonly VerificationAlgorithm[],
  fetching: KeyFetching,
): TrustedIssuer {
  const issuer = options?.issuer
  if (typeof issuer !== 'string' || issuer === '')
    throw new GuardConfigurationError('an issuer needs its name, as it stands in "iss"')
  return { issuer, algorithms: options.algorithms ?? algorithms, keys: keysOf(options, fetching) }
}

function keysOf(options: IssuerOptions, fetching: KeyFetching): KeySource {
  if (options.jwks !== undefined) return options.jwks
  if (options.jwksUrl === undefined) return discoverKeys(options.issuer, fetching)
  return createJwksSource({
    url: options.jwksUrl,
    fetchOptions: fetchRulesFor(options.jwksUrl, fetching.fetchOptions),
    now: fetching.now,
    staleSeconds: fetching.staleKeysSeconds,
  })
}
