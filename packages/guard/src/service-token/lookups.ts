import {
  type ParsedJws,
  type ServiceTokenClaims,
  serviceName,
  serviceTokenIssuedAt,
  TokenError,
  type VerificationKey,
} from '@countersign/tokens'
import { placeOf, type ReceivedCall, rememberUntil, useId } from './received-call.ts'
import type { ServiceTokenSettings } from './service-token-options.ts'
import { invalidServiceToken, unavailable } from './service-token-refusal.ts'
import type { TokenProfile } from './token-profile.ts'

// What is asked of others: keys, scopes, the memory of used tokens. When they are away nothing is said of the token.

/** The sender's key that the token names. */
export async function keyOf(
  parsed: ParsedJws,
  shortName: string,
  profile: TokenProfile,
  { keys, name, refusalByLists }: ServiceTokenSettings,
): Promise<VerificationKey> {
  let key: VerificationKey | undefined
  try {
    key = await profile.keyFor(parsed, shortName, keys)
  } catch (error) {
    if (error instanceof TokenError) throw error
    // Nobody is to be made to wait for keys that change nothing; nothing is proven, so that the lists are not named.
    if (refusalByLists(serviceName(shortName)) !== undefined)
      throw new TokenError('unknown_key', 'the keys of the sender cannot be had, and it is not let in', 'sender')
    throw unavailable(
      'keys_unavailable',
      'The keys of the sender cannot be had at the moment; try again shortly.',
      name,
      error,
    )
  }
  if (key === undefined) throw new TokenError('unknown_key', 'the sender publishes no such key', 'kid')
  return key
}

/** What the sender may do, where he is a client too. */
export async function scopesOf(sender: string, { scopesOf, name }: ServiceTokenSettings): Promise<readonly string[]> {
  if (scopesOf === undefined) return []
  try {
    return await scopesOf(sender)
  } catch (error) {
    throw unavailable(
      'scopes_unavailable',
      'What the sender may do cannot be known at the moment; try again shortly.',
      name,
      error,
    )
  }
}

/** Uses the token up. */
export async function useOnce(
  claims: ServiceTokenClaims,
  call: ReceivedCall,
  settings: ServiceTokenSettings,
): Promise<void> {
  const { uses, name, leewaySeconds, now } = settings
  const until = rememberUntil(call, claims, leewaySeconds, now() / 1000)
  // It ended while it was checked, and would not be remembered.
  if (until <= now() / 1000) throw new TokenError('expired_token', 'the token ended while it was checked', 'exp')
  const use = { issuedAt: serviceTokenIssuedAt(claims), place: placeOf(call) }
  let outcome: Awaited<ReturnType<typeof uses.use>>
  try {
    outcome = await uses.use(useId(call, name, claims.iss, claims.jti), until, use)
  } catch (error) {
    throw unavailable(
      'uses_unavailable',
      'Whether the token was used before cannot be known at the moment; try again shortly.',
      name,
      error,
    )
  }
  if (outcome === 'first' || (outcome === 'again' && use.place !== undefined)) return
  const message = outcome === 'unknowable' ? beforeMemory : undefined
  throw invalidServiceToken({ reason: 'replayed', realm: name, message })
}

const beforeMemory =
  'The service token was signed before this receiver began to remember used tokens, so it may have been used; sign a new one (replayed).'
