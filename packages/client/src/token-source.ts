import { BackOff } from '@countersign/outbound/back-off'
import type { Authentication } from './authentication.ts'
import { type BoundedAnswer, boundedRequest } from './bounded-request.ts'
import { ClientError } from './client-error.ts'
import type { Instant } from './kept-token.ts'
import { createEndpointFinder } from './metadata.ts'
import type { ClientSettings } from './options.ts'
import { retryAfterSeconds } from './retry-after.ts'
import type { TokenWish } from './targets.ts'
import { readRefusal, readTokenAnswer, type TokenAnswer } from './token-answer.ts'

/** Gets one token from the server, with retries, before `deadline` (milliseconds on the monotonic clock). */
export type TokenSource = (wish: TokenWish, deadline: number, closed: AbortSignal) => Promise<ObtainedToken>

export interface ObtainedToken {
  answer: TokenAnswer
  /** When the request that succeeded left. */
  asked: Instant
}

/**
 * Asks the token endpoint, patiently but not for ever: network failures, 5xx and 429 are tried again with
 * exponential back-off, never sooner than Retry-After says; what the server refuses is not.
 */
export function createTokenSource(settings: ClientSettings): TokenSource {
  const { monotonicNow } = settings
  const findEndpoint = settings.tokenEndpoint ? async () => settings.tokenEndpoint! : createEndpointFinder(settings)
  const authenticated = createRotation(settings.authentications)
  let quietUntil = 0 // the server asked every request of this client to wait, not only the one it answered

  return async (wish, deadline, closed) => {
    const backOff = new BackOff({ longestMilliseconds: 5_000, random: settings.random })
    for (let attempt = 0; ; attempt++) {
      const quiet = quietUntil - monotonicNow()
      if (quiet > 0) await waitOrGiveUp(quiet, askedToWait(quiet))
      try {
        const limit = Math.max(1, Math.min(settings.attemptTimeoutMilliseconds, deadline - monotonicNow()))
        const signal = AbortSignal.any([closed, AbortSignal.timeout(Math.ceil(limit))])
        const endpoint = await findEndpoint(signal)
        const asked = { wall: settings.now(), monotonic: monotonicNow() }
        const answer = await authenticated((authentication) => ask(endpoint, wish, authentication, signal, settings))
        return { answer, asked }
      } catch (error) {
        if (closed.aborted) throw closed.reason
        if (!(error instanceof ClientError) || !isPassing(error)) throw error
        if (error.retryAfterSeconds !== undefined) quietUntil = monotonicNow() + error.retryAfterSeconds * 1000
        if (attempt >= settings.maximumRetries) throw error
        await waitOrGiveUp(Math.max(quietUntil - monotonicNow(), backOff.failed()), error)
      }
    }

    async function waitOrGiveUp(milliseconds: number, error: ClientError): Promise<void> {
      if (milliseconds >= deadline - monotonicNow()) throw error
      await settings.wait(milliseconds, closed)
      if (closed.aborted) throw closed.reason
    }
  }
}

/** One POST to the token endpoint (RFC 6749 section 4.4.2). */
async function ask(
  endpoint: string,
  wish: TokenWish,
  authentication: Authentication,
  signal: AbortSignal,
  { fetch, now }: ClientSettings,
): Promise<TokenAnswer> {
  const proof = await authentication.prove(Math.floor(now() / 1000))
  const form = new URLSearchParams({ grant_type: 'client_credentials', ...proof.form })
  if (wish.audience !== undefined) form.set('audience', wish.audience)
  if (wish.scope !== undefined) form.set('scope', wish.scope)
  const headers = {
    accept: 'application/json',
    'content-type': 'application/x-www-form-urlencoded',
    ...proof.headers,
  }
  const name = 'the token server'
  const answer = await boundedRequest(endpoint, { name, method: 'POST', headers, body: form.toString(), signal, fetch })
  if (answer.status === 200) return readTokenAnswer(answer)
  if (answer.status === 429 || answer.status >= 500) throw busy(answer, now())
  throw readRefusal(answer, authentication.redact)
}

/**
 * While a secret is being rotated the client holds two. The one that worked last goes first; the other is tried
 * only where the server says that it does not know the client by this one.
 */
function createRotation(authentications: readonly Authentication[]) {
  let preferred = 0
  return async (attempt: (authentication: Authentication) => Promise<TokenAnswer>): Promise<TokenAnswer> => {
    const order = authentications.map((_, index) => (preferred + index) % authentications.length)
    for (const [position, index] of order.entries()) {
      try {
        const answer = await attempt(authentications[index]!)
        preferred = index
        return answer
      } catch (error) {
        const isLast = position === order.length - 1
        if (isLast || !(error instanceof ClientError) || error.code !== 'invalid_client') throw error
      }
    }
    throw new ClientError('invalid_configuration', 'the client has no credential')
  }
}

function busy(answer: BoundedAnswer, nowMilliseconds: number): ClientError {
  const retryAfter = retryAfterSeconds(answer.headers, nowMilliseconds)
  const details = { status: answer.status, retryAfterSeconds: retryAfter }
  const when = retryAfter === undefined ? 'try again later' : `try again in ${retryAfter} s`
  return answer.status === 429
    ? new ClientError('rate_limited', `the token server is limiting this client (429); ${when}`, details)
    : new ClientError('unavailable', `the token server answered ${answer.status}; ${when}`, details)
}

function askedToWait(milliseconds: number): ClientError {
  const retryAfter = Math.ceil(milliseconds / 1000)
  return new ClientError('rate_limited', `the token server asked this client to wait; try again in ${retryAfter} s`, {
    retryAfterSeconds: retryAfter,
  })
}

function isPassing(error: ClientError): boolean {
  return ['unreachable', 'timed_out', 'unavailable', 'rate_limited'].includes(error.code)
}
