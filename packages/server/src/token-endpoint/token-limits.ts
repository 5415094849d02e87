import { addressKey, type LimitDecision, type RateLimit, type RateLimiter, rateLimitHeaders } from '@countersign/limits'
import type { TokenLimits } from './issue-token.ts'
import { OAuthError } from './oauth-error.ts'

export interface TokenLimitSettings {
  perAddress: RateLimit
  perClient: RateLimit
  failuresPerAddress: RateLimit
}

export const defaultTokenLimits: TokenLimitSettings = {
  perAddress: { name: 'address', quota: 6000, windowSeconds: 60 },
  perClient: { name: 'client', quota: 3000, windowSeconds: 60 },
  failuresPerAddress: { name: 'failures', quota: 30, windowSeconds: 60 },
}

/**
 * @param onRefused told of every refusal, so that a flood of them becomes one audit row a second
 */
export function createTokenLimits(
  limiter: RateLimiter,
  settings: TokenLimitSettings,
  onRefused: (refusal: { limit: string; address: string; clientId?: string }) => void,
): TokenLimits {
  const refused = (decision: LimitDecision, address: string, clientId?: string): OAuthError => {
    onRefused({ limit: decision.limit.name, address, clientId })
    return new OAuthError('temporarily_unavailable', 'too many requests: wait as Retry-After says', {
      status: 429,
      headers: rateLimitHeaders([decision]),
    })
  }
  return {
    async beforeAuthentication(address) {
      const decision = await limiter.take(settings.perAddress, addressKey(address))
      if (!decision.allowed) throw refused(decision, address)
    },
    // Only a failure counts and only a failure is refused: a right credential passes whatever others guessed.
    async afterFailure(address) {
      const decision = await limiter.take(settings.failuresPerAddress, addressKey(address))
      if (!decision.allowed) throw refused(decision, address)
    },
    async afterAuthentication(clientId, address) {
      const decision = await limiter.take(settings.perClient, clientId)
      if (!decision.allowed) throw refused(decision, address, clientId)
      return rateLimitHeaders([decision])
    },
  }
}

/** For load tests: `COUNTERSIGN_RATE_LIMITS=off`. */
export const noTokenLimits: TokenLimits = {
  beforeAuthentication: () => {},
  afterFailure: () => {},
  afterAuthentication: () => ({}),
}
