import { createServer } from 'node:http'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createGuard, type Guard } from '../guard.ts'
import { GuardError } from '../guard-error.ts'
import { audience, startIssuer, type TestIssuer } from '../issuer.fixture.ts'
import { closing, listening } from '../listening.fixture.ts'
import { startFeed, type TestFeed } from './feed.fixture.ts'
import { createRevocationFeed, type RevocationFeedOptions } from './revocation-feed.ts'

let issuer: TestIssuer
let feed: TestFeed
let guard: Guard | undefined
let time: number
let errors: unknown[]
const now = () => time

beforeEach(async () => {
  time = Date.now()
  errors = []
  issuer = await startIssuer(now)
  feed = await startFeed()
})
afterEach(async () => {
  await guard?.close()
  await issuer.stop()
  await feed.stop()
})

function guarded(options: Partial<RevocationFeedOptions> = {}): Guard {
  const onError = (error: unknown) => errors.push(error)
  const revocations = { url: feed.url, pollSeconds: 0.05, onError, ...options }
  guard = createGuard({ issuer: issuer.issuer, audience, now, revocations })
  return guard
}

async function outcome(token: string, by = guard!): Promise<string> {
  try {
    await by.verify({ headers: { authorization: `Bearer ${token}` } })
    return 'accepted'
  } catch (error) {
    if (error instanceof GuardError) return error.reason
    throw error
  }
}

async function eventually(condition: () => boolean | Promise<boolean>): Promise<void> {
  for (const started = performance.now(); performance.now() - started < 20_000; ) {
    if (await condition()) return
    await new Promise((done) => setTimeout(done, 5))
  }
  throw new Error(`it did not come about within 20 s; the feed was asked ${feed.asked.slice(-5)}`)
}

const becomes = (token: string, wanted: string) => eventually(async () => (await outcome(token)) === wanted)
const inAnHour = () => Math.floor(time / 1000) + 3600

describe.each(['stream', 'poll'] as const)('a guard that follows the revocation feed (%s)', (follow) => {
  it('refuses a token that was revoked before it started, from the first request on (39)', async () => {
    feed.revoke({ jti: 'stolen', exp: inAnHour() })
    guarded({ follow })
    expect(await outcome(issuer.token({ jti: 'stolen' }))).toBe('revoked_token')
    expect(await outcome(issuer.token())).toBe('accepted')
  })

  it('refuses a remembered token soon after it is revoked (39)', async () => {
    guarded({ follow })
    const token = issuer.token({ jti: 'leaked' })
    expect(await outcome(token)).toBe('accepted')
    feed.revoke({ jti: 'leaked', exp: inAnHour() })
    await becomes(token, 'revoked_token')
    expect(await outcome(issuer.token())).toBe('accepted')
  })

  it("refuses a client's tokens up to the moment, and its later ones not", async () => {
    guarded({ follow })
    const issuedAt = Math.floor(time / 1000)
    const token = issuer.token({ client_id: 'svc-a', iat: issuedAt })
    expect(await outcome(token)).toBe('accepted')
    feed.revoke({ client_id: 'svc-a', before: issuedAt })
    await becomes(token, 'revoked_token')
    feed.revoke({ client_id: 'svc-a', before: issuedAt - 100 })
    feed.revoke({ jti: 'marker', exp: inAnHour() })
    await becomes(issuer.token({ jti: 'marker' }), 'revoked_token')
    expect(await outcome(token)).toBe('revoked_token')
    expect(await outcome(issuer.token({ client_id: 'svc-a', iat: issuedAt + 1 }))).toBe('accepted')
    expect(await outcome(issuer.token({ client_id: 'svc-b', iat: issuedAt }))).toBe('accepted')
  })

  it('refuses a revoked key for good, although the stale copy of the set still holds it', async () => {
    const next = await issuer.addKey()
    guarded({ follow })
    const token = issuer.token()
    expect(await outcome(token)).toBe('accepted')
    feed.revoke({ kid: issuer.kid })
    await becomes(token, 'revoked_token')
    await eventually(async () => (await outcome(issuer.token())) !== 'accepted')
    expect(await outcome(issuer.token())).toMatch(/revoked_token|unknown_key/)
    expect(await outcome(next.token())).toBe('accepted')
  })

  it('reads all pages, and goes on from where it was', async () => {
    feed.pageSize = 7
    for (let index = 0; index < 50; index++) feed.revoke({ jti: `t${index}`, exp: inAnHour() })
    guarded({ follow })
    for (const jti of ['t0', 't49']) expect(await outcome(issuer.token({ jti }))).toBe('revoked_token')
    expect(feed.asked.slice(0, 3)).toEqual(['page -', 'page 7', 'page 14'])
    await eventually(() => feed.asked.includes(`${follow === 'poll' ? 'page' : 'stream'} 50`))
  })

  it('starts over when its place is gone, and forgets nothing by it', async () => {
    feed.revoke({ jti: 'one', exp: inAnHour() })
    guarded({ follow })
    expect(await outcome(issuer.token({ jti: 'one' }))).toBe('revoked_token')
    feed.hangUp()
    feed.revoke({ jti: 'two', exp: inAnHour() })
    feed.oldest = 2
    await eventually(() => feed.asked.filter((each) => each === 'page -').length >= 2)
    feed.revoke({ jti: 'three', exp: inAnHour() })
    await becomes(issuer.token({ jti: 'three' }), 'revoked_token')
    expect(await outcome(issuer.token({ jti: 'one' }))).toBe('revoked_token')
  })

  it('knows the certificates and JWT-SVIDs that were revoked, whoever issued access tokens', async () => {
    feed.revoke({ serial: '07AB', spiffe_id: 'spiffe://example.org/billing', exp: inAnHour() })
    feed.revoke({ jti: 'jwt-svid', exp: inAnHour() })
    feed.revoke({ kid: 'jwt-key' })
    const source = createRevocationFeed({ url: feed.url, issuer: issuer.issuer, follow, pollSeconds: 0.05 })
    source.start()
    await eventually(() => source.isRevokedSerial?.('07ab') === true)
    expect(source.isRevokedSerial?.('07ac')).toBe(false)
    await eventually(() => source.isRevokedJwtSvid?.({ jti: 'jwt-svid' }) === true)
    await eventually(() => source.isRevokedJwtSvid?.({ kid: 'jwt-key' }) === true)
    expect(source.isRevokedJwtSvid?.({ jti: 'another', kid: 'another' })).toBe(false)
    await source.stop()
  })

  it('passes over kinds of entries that it does not know', async () => {
    feed.revoke({ subject: 'user-1' })
    feed.revoke({ jti: 'known', exp: inAnHour() })
    guarded({ follow })
    expect(await outcome(issuer.token({ jti: 'known' }))).toBe('revoked_token')
    expect(errors).toEqual([])
  })

  it('shows its credential with each request, made anew each time', async () => {
    let count = 0
    guarded({ follow, authorization: async () => `Bearer token-${++count}` })
    await eventually(() => feed.asked.length >= 2)
    expect(feed.authorizations.slice(0, 2)).toEqual(['Bearer token-1', 'Bearer token-2'])
  })
})

describe('when the feed cannot be had', () => {
  it('a guard that never read it lets nobody in', async () => {
    feed.answer = (_request, response) => response.writeHead(500).end()
    guarded()
    expect(await outcome(issuer.token())).toBe('revocations_unknown')
    feed.answer = undefined
    await becomes(issuer.token(), 'accepted')
  })

  it('a guard goes on with what it knows, for an hour at most (93)', async () => {
    feed.revoke({ jti: 'stolen', exp: inAnHour() + 86_400 })
    guarded()
    expect(await outcome(issuer.token())).toBe('accepted')
    feed.answer = (_request, response) => response.writeHead(503).end()
    feed.hangUp()
    await eventually(() => errors.length > 0)
    time += 3_500_000
    expect(await outcome(issuer.token())).toBe('accepted')
    expect(await outcome(issuer.token({ jti: 'stolen' }))).toBe('revoked_token')
    time += 200_000
    expect(await outcome(issuer.token())).toBe('revocations_unknown')
    feed.answer = undefined
    await becomes(issuer.token(), 'accepted')
  })

  it('a stream that breaks is taken up where it was, and what came meanwhile is not missed', async () => {
    guarded()
    feed.revoke({ jti: 'one', exp: inAnHour() })
    await becomes(issuer.token({ jti: 'one' }), 'revoked_token')
    await eventually(() => feed.asked.some((each) => each.startsWith('stream')))
    feed.hangUp()
    feed.revoke({ jti: 'two', exp: inAnHour() })
    await becomes(issuer.token({ jti: 'two' }), 'revoked_token')
    expect(feed.asked).toContain('page 1')
  })

  it('a server without streams is polled', async () => {
    feed.streaming = false
    guarded()
    await eventually(() => feed.asked.filter((each) => each.startsWith('page')).length > 2)
    feed.revoke({ jti: 'one', exp: inAnHour() })
    await becomes(issuer.token({ jti: 'one' }), 'revoked_token')
  })

  it.each([
    ['text/event-stream', 'data: {}\n\n'],
    ['application/json', '{"items":[{"jti":"x"}],"next":"1"}'],
    ['application/json', '{"items":[]}'],
    ['application/json', '[]'],
    ['application/json', `{"items":[],"next":"1","pad":"${'x'.repeat(9_000_000)}"}`],
    ['text/html', '<html></html>'],
  ])('an answer that is no page of revocations counts as none (%s %#)', async (type, body) => {
    feed.answer = (_request, response) => response.writeHead(200, { 'content-type': type }).end(body)
    guarded()
    expect(await outcome(issuer.token())).toBe('revocations_unknown')
  })

  it('its credential follows no redirect', async () => {
    const seen: unknown[] = []
    const thief = createServer((request, response) => {
      seen.push(request.headers)
      response.end()
    })
    const origin = await listening(thief)
    feed.answer = (_request, response) => response.writeHead(307, { location: origin }).end()
    guarded({ authorization: () => 'Bearer secret' })
    expect(await outcome(issuer.token())).toBe('revocations_unknown')
    expect(seen).toEqual([])
    await closing(thief)
  })

  it('an event that never ends is cut off, and the feed is read anew', async () => {
    guarded()
    await eventually(() => feed.asked.some((each) => each.startsWith('stream')))
    for (let part = 0; part < 20; part++) feed.write(`data: ${'x'.repeat(10_000)}\n`)
    await eventually(() => errors.some((error) => /too large/.test(String(error))))
    feed.revoke({ jti: 'after', exp: inAnHour() })
    await becomes(issuer.token({ jti: 'after' }), 'revoked_token')
  })
})

describe('a revocation feed', () => {
  it('speaks of its own issuer only', async () => {
    const other = await startIssuer(now)
    feed.revoke({ jti: 'same', exp: inAnHour() })
    const issuers = [issuer.issuer, other.issuer]
    expect(() => createGuard({ issuer: issuers, audience, revocations: { url: feed.url } })).toThrow(/whose feed/)
    guard = createGuard({ issuer: issuers, audience, now, revocations: { url: feed.url, issuer: issuer.issuer } })
    expect(await outcome(issuer.token({ jti: 'same' }))).toBe('revoked_token')
    expect(await outcome(other.token({ jti: 'same' }))).toBe('accepted')
    await other.stop()
  })

  it('is not followed over plain http to another machine', () => {
    expect(() => createRevocationFeed({ url: 'http://auth.example/oauth/revocations' })).toThrow(/https/)
  })

  it('stops when the guard is closed', async () => {
    const closed = guarded()
    await outcome(issuer.token())
    await closed.close()
    const count = feed.asked.length
    await new Promise((done) => setTimeout(done, 200))
    expect(feed.asked.length).toBe(count)
  })

  it('may be a source of the program itself', async () => {
    const revoked = new Set(['mine'])
    const source = { isRevoked: ({ jti }: { jti: string }) => revoked.has(jti), start() {}, async stop() {} }
    guard = createGuard({ issuer: issuer.issuer, audience, now, revocations: source })
    expect(await outcome(issuer.token({ jti: 'mine' }))).toBe('revoked_token')
    expect(await outcome(issuer.token())).toBe('accepted')
  })
})
