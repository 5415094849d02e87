import {
  type AccessTokenClaims,
  checkAccessTokenClaims,
  importPublicJwk,
  type ParsedJws,
  parseJwt,
  TokenError,
  type VerificationKey,
  verifySignature,
} from '@countersign/tokens'
import type { Revocations } from '../revocation/revocations.ts'
import { signingAlgorithms } from '../signing-keys/lifecycle.ts'
import type { Store } from '../storage/store.ts'

export interface OwnTokenContext {
  issuer: string
  store: Store
  revocations: Pick<Revocations, 'isRevokedInStore'>
  /** Seconds since the epoch */
  now: () => number
}

/** A token that this server signed and that is still within its life. */
export interface OwnToken {
  claims: AccessTokenClaims & { aud: string }
  kid: string
}

/** RFC 7662 section 2.2. */
export type Introspection =
  | { active: false }
  | {
      active: true
      token_type: 'Bearer'
      iss: string
      sub: string
      client_id: string
      aud: string
      scope?: string
      iat: number
      exp: number
      jti: string
      cnf?: Record<string, unknown>
    }

/** Replicas' clocks differ a little: a token may seem to come from a moment ahead. Its end is kept to the second. */
const clockSkewSeconds = 60

/**
 * A token of ours by its signature and times alone, revoked or not; undefined for anything else. Every key is looked
 * up in the store, so that one revoked or made a moment ago on another replica counts.
 * @throws StoreError `unavailable`
 */
export async function readOwnToken(token: string, context: OwnTokenContext): Promise<OwnToken | undefined> {
  const parsed = parse(token)
  const kid = parsed?.header.kid
  if (!parsed || kid === undefined) return undefined
  const key = await findKey(kid, context.store)
  const claims = key && check(parsed, key, context)
  return claims && { claims, kid }
}

/**
 * Whether a token is good at this very moment, by the store: not revoked by itself or with its client's others, its
 * client there and enabled, its API there.
 * @param mayAsk told who may introspect tokens of its API; where it says no, the answer is `not_for_this_client`
 * @throws StoreError `unavailable`
 */
export async function introspect(
  { claims, kid }: OwnToken,
  context: OwnTokenContext,
  mayAsk: (introspectors: readonly string[]) => boolean,
): Promise<Introspection | 'not_for_this_client'> {
  const { database } = context.store
  const [client, api, revoked] = await Promise.all([
    database.selectFrom('clients').select('disabled').where('id', '=', claims.client_id).executeTakeFirst(),
    database.selectFrom('apis').select('introspectors').where('audience', '=', claims.aud).executeTakeFirst(),
    context.revocations.isRevokedInStore({ ...claims, kid }),
  ])
  if (!mayAsk(api ? JSON.parse(api.introspectors) : [])) return 'not_for_this_client'
  if (revoked || !api || !client || client.disabled !== 0) return { active: false }
  const { iss, sub, client_id, aud, scope, iat, exp, jti, cnf } = claims
  return { active: true, token_type: 'Bearer', iss, sub, client_id, aud, scope, iat, exp, jti, cnf }
}

function parse(token: string): ParsedJws | undefined {
  try {
    return parseJwt(token)
  } catch (error) {
    if (error instanceof TokenError) return undefined
    throw error
  }
}

async function findKey(kid: string, { database }: Store): Promise<VerificationKey | undefined> {
  if (!/^[A-Za-z0-9_-]{1,128}$/.test(kid)) return undefined
  const row = await database
    .selectFrom('signing_keys')
    .select('public_jwk')
    .where('kid', '=', kid)
    .where('status', '!=', 'revoked')
    .executeTakeFirst()
  return row && importPublicJwk(JSON.parse(row.public_jwk))
}

function check(
  parsed: ParsedJws,
  key: VerificationKey,
  { issuer, now }: OwnTokenContext,
): OwnToken['claims'] | undefined {
  try {
    verifySignature(parsed, key, signingAlgorithms)
    const audience = parsed.claims.aud
    if (typeof audience !== 'string') return undefined
    const rules = { issuer, audiences: [audience], leewaySeconds: clockSkewSeconds }
    const claims = checkAccessTokenClaims(parsed, rules, now())
    return claims.exp > now() ? (claims as OwnToken['claims']) : undefined
  } catch (error) {
    if (error instanceof TokenError) return undefined
    throw error
  }
}
