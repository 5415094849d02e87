import { GuardError } from '@countersign/guard'
import type { RequestHead } from '../request-head.ts'

export interface SessionTokenRules {
  readonly cookie: string
  /** Other origins whose pages may call with the cookie. */
  readonly origins: readonly string[]
  readonly realm: string
}

/**
 * The token that a request's session is made from: of the Authorization header (Bearer) or of the cookie.
 * Throws GuardError `invalid_request` where it is carried in two ways or twice, and where another site's page sent the
 * cookie along with a request that may change something.
 */
export function findSessionToken(request: RequestHead, rules: SessionTokenRules): string | undefined {
  const bearer = bearerToken(request, rules)
  const cookie = cookieToken(request, rules)
  if (bearer !== undefined && cookie !== undefined && bearer !== cookie)
    throw refusal(
      'two_credentials',
      'The request carries two session tokens, in Authorization and cookie; send one.',
      rules,
    )
  if (bearer === undefined && cookie !== undefined) refuseForeignPages(request, rules)
  return bearer ?? cookie
}

function bearerToken({ headers, rawHeaders }: RequestHead, rules: SessionTokenRules): string | undefined {
  if (countOf('authorization', rawHeaders) > 1)
    throw refusal(
      'duplicate_authorization',
      'The request has more than one Authorization header; send exactly one.',
      rules,
    )
  const { authorization } = headers
  if (authorization === undefined || !/^bearer(?: |$)/i.test(authorization)) return undefined
  const token = /^bearer +([^ ,]+)$/i.exec(authorization)?.[1]
  if (token !== undefined) return token
  throw refusal(
    'malformed_authorization',
    'The Authorization header must be the word Bearer, a space and one token.',
    rules,
  )
}

/** Two cookies of one name: one of them may have been planted by a neighbour's site. */
function cookieToken({ headers }: RequestHead, rules: SessionTokenRules): string | undefined {
  const found = (headers.cookie ?? '')
    .split(';')
    .map((pair) => pair.trim())
    .filter((pair) => pair.startsWith(`${rules.cookie}=`))
  if (found.length > 1)
    throw refusal('duplicate_cookie', `The request has more than one cookie called ${rules.cookie}.`, rules)
  const value = found[0]?.slice(rules.cookie.length + 1).replace(/^"(.*)"$/, '$1')
  return value === '' ? undefined : value
}

/** Browsers send cookies along whoever's page makes the request. */
function refuseForeignPages({ method = 'GET', headers }: RequestHead, rules: SessionTokenRules): void {
  if (['GET', 'HEAD', 'OPTIONS'].includes(method)) return
  const { origin } = headers
  if (origin !== undefined && rules.origins.includes(origin)) return
  const foreign =
    origin === undefined ? headers['sec-fetch-site'] === 'cross-site' : URL.parse(origin)?.host !== headers.host
  if (foreign)
    throw refusal(
      'foreign_origin',
      "A page of another origin sent the session's cookie; allow it in SESSION_ORIGINS.",
      rules,
    )
}

function countOf(name: string, rawHeaders: readonly string[]): number {
  return rawHeaders.filter((each, index) => index % 2 === 0 && each.toLowerCase() === name).length
}

function refusal(reason: string, message: string, { realm }: SessionTokenRules): GuardError {
  return new GuardError({ code: 'invalid_request', reason, message, realm })
}
