import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createGuard, type Guard } from './guard.ts'
import { GuardError } from './guard-error.ts'
import type { AcceptEvent, RefusalEvent } from './guard-options.ts'
import { audience, startIssuer, type TestIssuer } from './issuer.fixture.ts'

let time: number
let issuer: TestIssuer
let guard: Guard
const now = () => time
const seconds = () => Math.floor(time / 1000)
const bearer = (token: string) => ({ headers: { authorization: `Bearer ${token}` } })

beforeEach(async () => {
  time = Date.now()
  issuer = await startIssuer(now)
  guard = createGuard({ issuer: issuer.issuer, audience, now })
})
afterEach(() => issuer.stop())

async function refusal(work: () => unknown): Promise<GuardError> {
  try {
    await work()
  } catch (error) {
    if (error instanceof GuardError) return error
    throw error
  }
  throw new Error('it was accepted')
}

describe('a guard', () => {
  it('yields the caller behind a token, from nothing but issuer and audience', async () => {
    const caller = await guard.verify(bearer(issuer.token({ tenant: 'acme' })))
    expect(caller).toMatchObject({
      method: 'access_token',
      clientId: 'svc-orders',
      subject: 'svc-orders',
      scopes: ['read:orders', 'write:orders'],
      audience,
      issuer: issuer.issuer,
      credentialId: issuer.kid,
      tenant: 'acme',
    })
    expect(caller.tokenId).toBe(caller.claims.jti)
    expect(caller.expiresAt).toBe(caller.claims.exp)
  })

  it('takes an interactive token of the same format: the subject is the user, the client the application', async () => {
    const caller = await guard.verify(bearer(issuer.token({ sub: 'user-7', client_id: 'webshop' })))
    expect(caller).toMatchObject({ subject: 'user-7', clientId: 'webshop' })
  })

  it('says which of its audiences the token was made for', async () => {
    const both = createGuard({ issuer: issuer.issuer, audience: ['https://a.example', audience], now })
    expect((await both.verify(bearer(issuer.token()))).audience).toBe(audience)
  })

  it('answers without a turn of the event loop once it has the key', async () => {
    await guard.verify(bearer(issuer.token()))
    const token = issuer.token()
    expect(guard.verify(bearer(token))).not.toBeInstanceOf(Promise)
    expect(guard.verifyToken(token)).not.toBeInstanceOf(Promise)
  })

  it('verifies a token that came without a request', async () => {
    expect((await guard.verifyToken(issuer.token())).clientId).toBe('svc-orders')
    expect((await refusal(() => guard.verifyToken('abc'))).code).toBe('invalid_token')
    expect((await refusal(() => guard.verifyToken(''))).code).toBe('invalid_token')
  })

  it('reads headers of a Fetch request as those of node:http', async () => {
    const request = new Request('https://orders.example/', bearer(issuer.token()))
    expect((await guard.verify(request)).clientId).toBe('svc-orders')
    const twice = { headers: { authorization: ['Bearer a', 'Bearer b'] as never } }
    expect((await refusal(() => guard.verify(twice))).reason).toBe('duplicate_authorization')
  })
})

describe('a remembered token', () => {
  it('is verified once, and then known by its whole text (19)', async () => {
    const token = issuer.token()
    const first = await guard.verify(bearer(token))
    expect(await guard.verify(bearer(token))).toBe(first)
    // Same length, same beginning, same end: whatever a digest of parts would take for the same.
    const middle = Math.floor(token.length / 2)
    const flipped = token[middle] === 'A' ? 'B' : 'A'
    const other = token.slice(0, middle) + flipped + token.slice(middle + 1)
    expect((await refusal(() => guard.verify(bearer(other)))).code).toBe('invalid_token')
  })

  it('still has its scopes looked at on each route (41)', async () => {
    const token = bearer(issuer.token({ scope: 'read:orders' }))
    expect(await guard.verify(token, { scopes: ['read:orders'] })).toBeDefined()
    expect((await refusal(() => guard.verify(token, { scopes: ['write:orders'] }))).code).toBe('insufficient_scope')
    expect((await refusal(() => guard.verify(token, { anyScope: ['a', 'b'] }))).code).toBe('insufficient_scope')
    expect(await guard.verify(token, {})).toBeDefined()
  })

  it('is known to its own guard only: another audience, another decision (41, 80)', async () => {
    const token = bearer(issuer.token())
    const other = createGuard({ issuer: issuer.issuer, audience: 'https://other.example', now })
    expect(await guard.verify(token)).toBeDefined()
    expect((await refusal(() => other.verify(token))).reason).toBe('wrong_audience')
    expect(await guard.verify(token)).toBeDefined()
  })

  it('never mixes callers up, even as the memory overflows (80)', async () => {
    const small = createGuard({ issuer: issuer.issuer, audience, now, tokenCacheSize: 10 })
    const tokens = Array.from({ length: 50 }, (_, index) =>
      issuer.token({ client_id: `svc-${index}`, tenant: `t${index}` }),
    )
    for (const round of [1, 2]) {
      for (const [index, token] of tokens.entries()) {
        const caller = await small.verify(bearer(token))
        expect([caller.clientId, caller.tenant], `round ${round}`).toEqual([`svc-${index}`, `t${index}`])
      }
    }
  })

  it('cannot be changed by a handler for the next request', async () => {
    const caller = await guard.verify(bearer(issuer.token({ deep: { list: ['a'] } })))
    const deep = caller.claims.deep as { list: string[] }
    expect(() => (caller.scopes as string[]).push('admin:all')).toThrow(TypeError)
    expect(() => Object.assign(caller, { clientId: 'root' })).toThrow(TypeError)
    expect(() => deep.list.push('b')).toThrow(TypeError)
  })

  it('ends when it expires, to the second', async () => {
    const token = bearer(issuer.token({ exp: seconds() + 30 }))
    expect(await guard.verify(token)).toBeDefined()
    time += 29_000
    expect(await guard.verify(token)).toBeDefined()
    time += 7_000
    expect((await refusal(() => guard.verify(token))).reason).toBe('expired_token')
  })
})

describe('the clock (88)', () => {
  it('may be off by the leeway, five seconds if nothing else is said', async () => {
    expect(await guard.verify(bearer(issuer.token({ exp: seconds() - 3 })))).toBeDefined()
    expect((await refusal(() => guard.verify(bearer(issuer.token({ exp: seconds() - 7 }))))).reason).toBe(
      'expired_token',
    )
    const lenient = createGuard({ issuer: issuer.issuer, audience, now, leewaySeconds: 60 })
    expect(await lenient.verify(bearer(issuer.token({ exp: seconds() - 58 })))).toBeDefined()
    expect((await refusal(() => lenient.verify(bearer(issuer.token({ exp: seconds() - 62 }))))).reason).toBe(
      'expired_token',
    )
  })

  it('an hour off refuses with a sentence that speaks of clocks, and is no server error', async () => {
    const token = issuer.token()
    time -= 3_600_000
    const error = await refusal(() => guard.verify(bearer(token)))
    expect([error.status, error.reason]).toEqual([401, 'token_not_yet_valid'])
    expect(error.message).toMatch(/clocks/)
  })

  it('set back does not keep what is remembered alive', async () => {
    const token = bearer(issuer.token())
    expect(await guard.verify(token)).toBeDefined()
    time -= 3_600_000
    expect((await refusal(() => guard.verify(token))).reason).toBe('token_not_yet_valid')
    time += 3_600_000
    expect(await guard.verify(token)).toBeDefined()
  })
})

describe('a refusal', () => {
  it('never repeats what the request said, and cannot break out of its header', async () => {
    const evil = 'evil"\r\nSet-Cookie: a=b\\\u00e9'
    const requests = [
      bearer(issuer.token({ iss: evil })),
      bearer(issuer.token({ aud: evil })),
      bearer(issuer.token({ scope: evil })),
      bearer(issuer.token({}, { typ: evil })),
      bearer(issuer.token({}, { kid: evil })),
      { headers: { authorization: `Bearer ${evil}` } },
      { headers: { authorization: evil } },
      { headers: {}, url: `/?access_token=${evil}` },
    ]
    for (const request of requests) {
      const error = await refusal(() => guard.verify(request))
      const told = JSON.stringify([error.toProblem(), error.headers()])
      expect(told).not.toMatch(/evil|Set-Cookie|\\r|\\n/)
    }
  })

  it('keeps a realm from the configuration inside its quotes', async () => {
    const odd = createGuard({ issuer: issuer.issuer, audience, realm: 'a"b\\c\r\nd' })
    const error = await refusal(() => odd.verify({ headers: {} }))
    expect(error.headers()['www-authenticate']).toBe(`Bearer realm="a'b'c??d"`)
  })

  it('tells nothing of an error that nobody foresaw, and fails closed (72)', async () => {
    const events: RefusalEvent[] = []
    const jwks = {
      keyFor: async () => undefined,
      keyForSync() {
        throw new TypeError('connect postgres://admin:hunter2@10.0.0.5')
      },
    }
    const broken = createGuard({
      issuer: { issuer: issuer.issuer, jwks },
      audience,
      onRefusal: (event) => events.push(event),
    })
    const error = await refusal(() => broken.verify(bearer(issuer.token())))
    expect([error.status, error.reason]).toEqual([503, 'verification_failed'])
    expect(JSON.stringify([error.toProblem(), error.headers(), error.message])).not.toMatch(
      /hunter2|postgres|TypeError/,
    )
    expect(String(events[0]!.error.cause)).toMatch(/TypeError/)
  })

  it('never holds the token, in no form that a log would print', async () => {
    const token = issuer.token({ aud: 'https://other.example' })
    const { inspect } = await import('node:util')
    const error = await refusal(() => guard.verify(bearer(token)))
    expect(inspect(error, { depth: 9, showHidden: true })).not.toContain(token.split('.')[2])
    expect(JSON.stringify(error.toProblem())).not.toContain(token.split('.')[1])
  })
})

describe('who listens', () => {
  it('hears of each decision, with the caller where there is one', async () => {
    const accepted: AcceptEvent[] = []
    const refused: RefusalEvent[] = []
    const heard = createGuard({
      issuer: issuer.issuer,
      audience,
      now,
      onAccept: (event) => accepted.push(event),
      onRefusal: (event) => refused.push(event),
    })
    await heard.verify(bearer(issuer.token()))
    await refusal(() => heard.verify({ headers: {} }))
    await refusal(() => heard.verify(bearer(issuer.token()), { scopes: ['admin:all'] }))
    expect(accepted.map(({ caller }) => caller.clientId)).toEqual(['svc-orders'])
    expect(refused.map(({ error, caller }) => [error.code, caller?.clientId])).toEqual([
      ['missing_credential', undefined],
      ['insufficient_scope', 'svc-orders'],
    ])
  })

  it('cannot turn a decision round by throwing', async () => {
    let told = 0
    const thrower = () => {
      told++
      throw new Error('disk full')
    }
    const heard = createGuard({ issuer: issuer.issuer, audience, now, onAccept: thrower, onRefusal: thrower })
    expect(await heard.verify(bearer(issuer.token()))).toBeDefined()
    expect((await refusal(() => heard.verify({ headers: {} }))).code).toBe('missing_credential')
    expect(told).toBe(2)
  })
})
