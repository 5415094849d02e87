import type { LimitDecision } from './rate-limit.ts'

/**
 * The fields of draft-ietf-httpapi-ratelimit-headers-11 for the decisions of one request, and Retry-After (RFC 9110
 * section 10.2.3) when one of them refused it. Give only decisions about the caller's own shares.
 */
export function rateLimitHeaders(decisions: readonly LimitDecision[]): Record<string, string> {
  if (decisions.length === 0) return {}
  const headers: Record<string, string> = {
    'RateLimit-Policy': decisions
      .map(({ limit }) => `"${limit.name}";q=${limit.quota};w=${limit.windowSeconds}`)
      .join(', '),
    RateLimit: decisions
      .map((decision) => `"${decision.limit.name}";r=${decision.remaining};t=${decision.resetSeconds}`)
      .join(', '),
  }
  const refused = decisions.filter((decision) => !decision.allowed)
  if (refused.length > 0) {
    headers['Retry-After'] = String(Math.max(1, ...refused.map((decision) => decision.retryAfterSeconds)))
  }
  return headers
}
