import { GuardConfigurationError } from '../guard-error.ts'
import { type AllowedIds, type AllowList, createAllowList } from '../mtls/allowed-callers.ts'
import type { WaitedBundles } from '../mtls/mtls-options.ts'

/** Takes callers by a JWT-SVID as Bearer token. */
export interface JwtSvidOptions {
  /** What JWT-SVIDs are verified by, each by the bundle of its own trust domain. */
  readonly bundles: WaitedBundles
  /** The names of this receiver, one of which the token must carry in `aud`. Default: the guard's `audience`. */
  readonly audience?: string | readonly string[]
  /** Who may call. */
  readonly allow: AllowedIds
  /** The client that a SPIFFE ID belongs to; undefined refuses it. Default: the SPIFFE ID. */
  readonly clientOf?: (identity: { readonly spiffeId: string }) => string | undefined
  /** What a client may do. Default: no scopes. */
  readonly scopesOf?: (clientId: string) => readonly string[]
}

export interface JwtSvidSettings {
  readonly bundles: WaitedBundles
  readonly audiences: readonly string[]
  readonly allow: AllowList
  readonly clientOf: NonNullable<JwtSvidOptions['clientOf']>
  readonly scopesOf: NonNullable<JwtSvidOptions['scopesOf']>
}

/** Throws GuardConfigurationError. */
export function readJwtSvidOptions(options: JwtSvidOptions, guardAudiences: readonly string[]): JwtSvidSettings {
  const { bundles, clientOf = ({ spiffeId }) => spiffeId, scopesOf = () => [] } = options
  if (typeof bundles?.get !== 'function') throw new GuardConfigurationError('"jwtSvid" needs "bundles" to verify by')
  const audiences = options.audience === undefined ? guardAudiences : [options.audience].flat()
  if (audiences.length === 0 || !audiences.every((name) => typeof name === 'string' && name !== '')) {
    throw new GuardConfigurationError(
      '"jwtSvid" needs "audience": a guard without one would pass SVIDs made for others',
    )
  }
  return { bundles, audiences, allow: createAllowList(options.allow, 'jwtSvid.allow', true), clientOf, scopesOf }
}
