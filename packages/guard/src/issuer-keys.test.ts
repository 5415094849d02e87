import { generateKeyPairSync } from 'node:crypto'
import type { ServerResponse } from 'node:http'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createGuard, type Guard } from './guard.ts'
import { GuardError } from './guard-error.ts'
import { audience, goodClaims, sendJson, startIssuer, type TestIssuer } from './issuer.fixture.ts'

let time: number
let issuer: TestIssuer
let guard: Guard
const now = () => time
const jwksPath = '/.well-known/jwks.json'

beforeEach(async () => {
  time = Date.now()
  issuer = await startIssuer(now)
  guard = createGuard({ issuer: issuer.issuer, audience, now })
})
afterEach(() => issuer.stop())

async function outcome(token: string, by: Guard = guard): Promise<string> {
  try {
    await by.verify({ headers: { authorization: `Bearer ${token}` } })
    return 'accepted'
  } catch (error) {
    if (error instanceof GuardError) return error.reason
    throw error
  }
}

/** Refreshes go on behind the answers; this waits for what is under way. */
async function eventually(condition: () => boolean | Promise<boolean>): Promise<void> {
  for (const started = performance.now(); performance.now() - started < 20_000; ) {
    if (await condition()) return
    await new Promise((done) => setTimeout(done, 10))
  }
  throw new Error('it did not come about within 20 s')
}

describe('the keys of an issuer', () => {
  it('are asked for once, however many tokens come at the same time', async () => {
    const tokens = Array.from({ length: 100 }, () => issuer.token())
    expect(new Set(await Promise.all(tokens.map((token) => outcome(token))))).toEqual(new Set(['accepted']))
    expect(issuer.asked.get(jwksPath)).toBe(1)
    expect(issuer.asked.get('/.well-known/oauth-authorization-server')).toBe(1)
  })

  it('serve through an outage of the issuer, and for an hour at most (28)', async () => {
    expect(await outcome(issuer.token())).toBe('accepted')
    await issuer.stop()
    for (const minutes of [6, 30, 59]) {
      time = Date.now() + minutes * 60_000
      expect(await outcome(issuer.token()), `${minutes} minutes`).toBe('accepted')
    }
    time = Date.now() + 62 * 60_000
    expect(await outcome(issuer.token())).toBe('keys_unavailable')
    await issuer.start()
    time += 30_000
    expect(await outcome(issuer.token())).toBe('accepted')
  })

  it('that are too old are no longer trusted for remembered tokens either', async () => {
    const token = issuer.token({ exp: Math.floor(time / 1000) + 86_400 })
    expect(await outcome(token)).toBe('accepted')
    await issuer.stop()
    time += 62 * 60_000
    expect(await outcome(token)).toBe('keys_unavailable')
    await issuer.start()
  })

  it('that were withdrawn end the remembered tokens too', async () => {
    const token = issuer.token()
    expect(await outcome(token)).toBe('accepted')
    const key = await issuer.addKey()
    issuer.keys = issuer.keys.slice(1)
    time += 10 * 60_000
    expect(await outcome(key.token())).toBe('accepted')
    await eventually(async () => (await outcome(token)) === 'unknown_key')
  })

  it('are looked at again for a key that is new', async () => {
    expect(await outcome(issuer.token())).toBe('accepted')
    const next = await issuer.addKey()
    expect(await outcome(next.token())).toBe('accepted')
  })

  it('are not asked for again by a storm of unknown kids (29)', async () => {
    expect(await outcome(issuer.token())).toBe('accepted')
    const storm = Array.from({ length: 500 }, (_, index) => issuer.token({}, { kid: `unknown-${index}` }))
    const outcomes = await Promise.all(storm.map((token) => outcome(token)))
    expect(new Set(outcomes)).toEqual(new Set(['unknown_key']))
    for (const token of storm.slice(0, 50)) await outcome(token)
    expect(issuer.asked.get(jwksPath)).toBeLessThanOrEqual(2)
    expect(await outcome(issuer.token())).toBe('accepted')
  })

  const failures: Record<string, (response: ServerResponse) => void> = {
    'answers 500': (response) => response.writeHead(500).end(),
    'answers 304 without having been asked for changes': (response) => response.writeHead(304).end(),
    redirects: (response) => response.writeHead(302, { location: 'http://169.254.169.254/' }).end(),
    'answers HTML': (response) => response.writeHead(200, { 'content-type': 'text/html' }).end('<html></html>'),
    'hangs up': (response) => response.destroy(),
    'answers half a document': (response) => response.writeHead(200, { 'content-length': '99' }).end('{"keys":['),
    'answers ten megabytes (30)': (response) => sendJson(response, { keys: [], padding: 'x'.repeat(10_000_000) }),
    'answers ten thousand keys (30)': (response) =>
      sendJson(response, { keys: Array.from({ length: 10_000 }, (_, kid) => ({ kty: 'EC', kid: String(kid) })) }),
    'answers a private key': (response) => {
      const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
      sendJson(response, { keys: [privateKey.export({ format: 'jwk' })] })
    },
  }
  for (const [what, answer] of Object.entries(failures)) {
    it(`cannot be had from a server that ${what}: 503 at first, and the old ones when there are any (28)`, async () => {
      const { issuer: name, jwksUrl } = issuer
      const fresh = createGuard({ issuer: { issuer: name, jwksUrl }, audience, now })
      issuer.answer = (_request, response) => answer(response)
      expect(await outcome(issuer.token(), fresh)).toBe('keys_unavailable')
      issuer.answer = undefined
      time += 11_000
      expect(await outcome(issuer.token(), fresh)).toBe('accepted')
      issuer.answer = (_request, response) => answer(response)
      time += 600_000
      expect(await outcome(issuer.token(), fresh)).toBe('accepted')
    })
  }

  it('cannot be had from a server that never answers, which is not waited for longer than allowed (28)', async () => {
    issuer.answer = () => {}
    const impatient = createGuard({ issuer: issuer.issuer, audience, fetchOptions: { timeoutMilliseconds: 200 } })
    const started = performance.now()
    expect(await outcome(issuer.token(), impatient)).toBe('keys_unavailable')
    expect(performance.now() - started).toBeLessThan(3_000)
  })

  it('are not asked for at all by a token that cannot pass anyway', async () => {
    expect(await outcome(issuer.token({ iss: 'https://evil.example/' }))).toBe('wrong_issuer')
    expect(await outcome('e30.e30.AAAA')).toBe('malformed_token')
    expect(issuer.asked.size).toBe(0)
  })
})

describe('the metadata of an issuer', () => {
  it('is refused when it is of another issuer (RFC 8414 section 3.3)', async () => {
    for (const name of ['https://evil.example/', issuer.issuer.slice(0, -1), undefined]) {
      issuer.answer = (_request, response) => sendJson(response, { issuer: name, jwks_uri: issuer.jwksUrl })
      expect(await outcome(issuer.token(), createGuard({ issuer: issuer.issuer, audience }))).toBe('keys_unavailable')
    }
    expect(issuer.asked.get(jwksPath)).toBeUndefined()
  })

  it('may not point the guard at the network around it (31)', async () => {
    for (const url of [
      'http://169.254.169.254/keys',
      'https://10.0.0.1/keys',
      'https://[::ffff:10.0.0.1]/',
      'file:///etc',
    ]) {
      issuer.answer = (_request, response) => sendJson(response, { issuer: issuer.issuer, jwks_uri: url })
      expect(await outcome(issuer.token(), createGuard({ issuer: issuer.issuer, audience }))).toBe('keys_unavailable')
    }
  })

  it('is found between host and path, or where OpenID Connect has it', async () => {
    const tenant = `${issuer.issuer}tenants/a`
    for (const place of [
      '/.well-known/oauth-authorization-server/tenants/a',
      '/tenants/a/.well-known/openid-configuration',
    ]) {
      issuer.answer = (request, response) => {
        if (request.url === place) return sendJson(response, { issuer: tenant, jwks_uri: issuer.jwksUrl })
        if (request.url === jwksPath) return sendJson(response, { keys: issuer.keys })
        response.writeHead(404).end()
      }
      expect(await outcome(issuer.token({ iss: tenant }), createGuard({ issuer: tenant, audience })), place).toBe(
        'accepted',
      )
    }
  })
})

describe('a guard of several issuers', () => {
  it('takes tokens of each, and never with the keys of another (41)', async () => {
    const other = await startIssuer(now)
    const both = createGuard({
      issuer: [issuer.issuer, { issuer: other.issuer, jwksUrl: other.jwksUrl }],
      audience,
      now,
    })
    expect(await outcome(issuer.token(), both)).toBe('accepted')
    expect(await outcome(other.token(), both)).toBe('accepted')
    // Signed by the other, with its own kid or the first one's, but in the name of the first.
    expect(await outcome(other.token(goodClaims(issuer.issuer, now)), both)).toBe('unknown_key')
    expect(await outcome(other.token(goodClaims(issuer.issuer, now), { kid: issuer.kid }), both)).toBe(
      'invalid_signature',
    )
    await other.stop()
  })

  it('goes on with one while the other is away', async () => {
    const other = await startIssuer(now)
    await other.stop()
    const both = createGuard({ issuer: [issuer.issuer, other.issuer], audience, now })
    expect(await outcome(other.token(), both)).toBe('keys_unavailable')
    expect(await outcome(issuer.token(), both)).toBe('accepted')
  })
})
