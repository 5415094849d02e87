import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createGuard, type Guard } from './guard.ts'
import { audience, startIssuer, type TestIssuer } from './issuer.fixture.ts'
import { type RawAnswer, rawRequest } from './raw-http.fixture.ts'

/**
 * The program that every adapter's test builds with its framework:
 * GET /who asks for any caller, GET /orders for `read:orders`, GET /refunds for `read:orders` and `write:refunds`,
 * GET /either for one of `admin:all`, `read:orders`. Each answers 200 with `{ clientId, scopes }` of the caller.
 */
export interface AdapterProgram {
  readonly origin: string
  close(): Promise<void>
}

interface Case {
  readonly it: string
  readonly target?: string
  /** `TOKEN` stands for a good token. */
  readonly headers: readonly string[] | ((issuer: TestIssuer) => readonly string[])
  readonly status: number
  readonly code?: string
  readonly reason?: string
  readonly challenge?: RegExp
}

const past = () => Math.floor(Date.now() / 1000) - 7200

const cases: readonly Case[] = [
  { it: 'lets a good token through', headers: ['Authorization: Bearer TOKEN'], status: 200 },
  { it: 'takes the scheme in any case', headers: ['authorization: bEARER TOKEN'], status: 200 },
  { it: 'takes several spaces after the scheme', headers: ['Authorization: Bearer   TOKEN'], status: 200 },
  { it: 'lets who has the scope through', target: '/orders', headers: ['Authorization: Bearer TOKEN'], status: 200 },
  { it: 'is content with one of several', target: '/either', headers: ['Authorization: Bearer TOKEN'], status: 200 },
  {
    it: 'challenges who has no credential, and names no error',
    headers: [],
    status: 401,
    code: 'missing_credential',
    challenge: /^Bearer realm="https:\/\/orders\.example"$/,
  },
  {
    it: 'tells who has no credential which scope the route takes',
    target: '/orders',
    headers: [],
    status: 401,
    code: 'missing_credential',
    challenge: /^Bearer realm="https:\/\/orders\.example", scope="read:orders"$/,
  },
  {
    it: 'challenges who comes with another scheme',
    headers: ['Authorization: Basic c3ZjOnNlY3JldA=='],
    status: 401,
    code: 'missing_credential',
    reason: 'unsupported_scheme',
    challenge: /^Bearer realm="[^"]+"$/,
  },
  {
    it: 'refuses two Authorization headers, even when both are good',
    headers: ['Authorization: Bearer TOKEN', 'authorization: Bearer TOKEN'],
    status: 400,
    code: 'invalid_request',
  },
  {
    it: 'refuses a bad credential beside a good one',
    headers: ['Authorization: Bearer TOKEN', 'Authorization: Basic c3ZjOnNlY3JldA=='],
    status: 400,
    code: 'invalid_request',
  },
  {
    it: 'refuses two credentials in one header',
    headers: ['Authorization: Bearer TOKEN, Bearer TOKEN'],
    status: 400,
    code: 'invalid_request',
    reason: 'malformed_authorization',
    challenge: /error="invalid_request"/,
  },
  { it: 'refuses the scheme alone', headers: ['Authorization: Bearer'], status: 400, code: 'invalid_request' },
  { it: 'refuses an empty header', headers: ['Authorization:'], status: 400, code: 'invalid_request' },
  {
    it: 'refuses a token in the URL, even beside a good header',
    target: '/who?access_token=abc',
    headers: ['Authorization: Bearer TOKEN'],
    status: 400,
    code: 'invalid_request',
    reason: 'token_in_query',
  },
  {
    it: 'refuses a token in the URL whose name is percent-encoded',
    target: '/who?a=1&%61ccess%5Ftoken=abc',
    headers: [],
    status: 400,
    code: 'invalid_request',
    reason: 'token_in_query',
  },
  {
    it: 'refuses what is no JWT',
    headers: ['Authorization: Bearer abc'],
    status: 401,
    code: 'invalid_token',
    reason: 'malformed_token',
    challenge: /error="invalid_token"/,
  },
  {
    it: 'says that a token has expired',
    headers: (issuer) => [`Authorization: Bearer ${issuer.token({ iat: past(), exp: past() + 60 })}`],
    status: 401,
    code: 'invalid_token',
    reason: 'expired_token',
    challenge: /error="invalid_token", error_description="[^"]*expired[^"]*"/,
  },
  {
    it: 'says that a token was made for another audience',
    headers: (issuer) => [`Authorization: Bearer ${issuer.token({ aud: 'https://other.example' })}`],
    status: 401,
    code: 'invalid_token',
    reason: 'wrong_audience',
    challenge: /error_description="[^"]*audience[^"]*"/,
  },
  {
    it: 'names the scope that is missing',
    target: '/refunds',
    headers: ['Authorization: Bearer TOKEN'],
    status: 403,
    code: 'insufficient_scope',
    challenge:
      /error="insufficient_scope", error_description="[^"]*write:refunds[^"]*", scope="read:orders write:refunds"$/,
  },
  {
    it: 'refuses who has none of several scopes',
    target: '/either',
    headers: (issuer) => [`Authorization: Bearer ${issuer.token({ scope: undefined })}`],
    status: 403,
    code: 'insufficient_scope',
    challenge: /scope="admin:all read:orders"$/,
  },
  {
    it: 'holds no scope where a longer or shorter word is held',
    target: '/orders',
    headers: (issuer) => [`Authorization: Bearer ${issuer.token({ scope: 'read:orders2 read:order READ:ORDERS' })}`],
    status: 403,
    code: 'insufficient_scope',
  },
]

/** Runs the same table against an adapter, over real sockets. */
export function describeAdapter(name: string, start: (guard: Guard) => Promise<AdapterProgram>): void {
  describe(`${name}: a guarded route`, () => {
    let issuer: TestIssuer
    let guard: Guard
    let program: AdapterProgram
    beforeAll(async () => {
      issuer = await startIssuer()
      guard = createGuard({ issuer: issuer.issuer, audience })
      program = await start(guard)
    })
    afterAll(async () => {
      await program.close()
      await guard.close()
      await issuer.stop()
    })

    for (const each of cases) {
      it(each.it, async () => {
        const headers = typeof each.headers === 'function' ? each.headers(issuer) : each.headers
        const token = issuer.token()
        const lines = headers.map((line) => line.replaceAll('TOKEN', token))
        const answer = await rawRequest(program.origin, each.target ?? '/who', lines)
        expect(answer.status).toBe(each.status)
        if (each.status === 200) expect(JSON.parse(answer.body)).toMatchObject({ clientId: 'svc-orders' })
        else expectRefusal(answer, each)
      })
    }

    it('answers 503 with Retry-After while the keys cannot be had, and lets nobody in', async () => {
      const away = await startIssuer()
      await away.stop()
      const lone = createGuard({ issuer: away.issuer, audience })
      const other = await start(lone)
      const answer = await rawRequest(other.origin, '/who', [`Authorization: Bearer ${away.token()}`])
      expect(answer.status).toBe(503)
      expect(Number(answer.headers['retry-after'])).toBeGreaterThan(0)
      expect(JSON.parse(answer.body)).toMatchObject({ code: 'unavailable', reason: 'keys_unavailable' })
      expect(answer.body).not.toMatch(/ECONNREFUSED|localhost|127\.0\.0\.1/)
      await other.close()
    })
  })
}

function expectRefusal(answer: RawAnswer, expected: Case): void {
  expect(answer.headers['content-type']).toBe('application/problem+json')
  expect(answer.headers['cache-control']).toBe('no-store')
  const problem = JSON.parse(answer.body)
  expect(problem).toMatchObject({ status: expected.status, code: expected.code })
  expect(problem.detail).toBeTypeOf('string')
  if (expected.reason !== undefined) expect(problem.reason).toBe(expected.reason)
  expect(answer.headers['www-authenticate']).toMatch(expected.challenge ?? /^Bearer realm="/)
}
