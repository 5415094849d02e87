import { generateKeyPairSync } from 'node:crypto'
import { generateSigningKey, importPublicJwk, parseJwt, verifySignature } from '@countersign/tokens'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import {
  createClock,
  type FakeTokenServer,
  failureOf,
  issued,
  refused,
  startTokenServer,
} from './fake-server.fixture.ts'
import { type ClientOptions, createClient } from './index.ts'

let server: FakeTokenServer
let clock: ReturnType<typeof createClock>

beforeEach(async () => {
  server = await startTokenServer()
  clock = createClock()
})
afterEach(() => server[Symbol.asyncDispose]())

function client(options: Partial<ClientOptions> = { clientSecret: 'secret-1' }) {
  const { now, monotonicNow, random, wait } = clock
  return createClient({ issuer: server.issuer, clientId: 'svc-a', now, monotonicNow, random, wait, ...options })
}

describe('trying again', () => {
  it.each([
    ['a broken connection', { breaks: true }],
    ['500', { status: 500 }],
    ['503', { status: 503 }],
    ['429', { status: 429 }],
  ])('tries again after %s, waiting longer each time', async (_, answer) => {
    server.answer = ({ count }) => (count <= 3 ? answer : issued(count))
    expect((await client().token()).accessToken).toBe('token-4')
    expect(clock.waits).toEqual([150, 300, 600])
  })

  it('gives up after maximumRetries', async () => {
    server.answer = () => ({ status: 503 })
    const error = await failureOf(client({ clientSecret: 'secret-1', maximumRetries: 2 }).token())
    expect(error).toMatchObject({ code: 'unavailable', status: 503 })
    expect(server.requests).toHaveLength(3)
  })

  it.each([
    [400, 'invalid_scope', 'invalid_scope'],
    [400, 'invalid_target', 'invalid_target'],
    [400, 'invalid_request', 'invalid_request'],
    [400, 'unauthorized_client', 'unauthorized_client'],
    [401, 'invalid_client', 'invalid_client'],
    [401, 'something_new', 'invalid_client'],
    [403, 'access_denied', 'refused'],
    [404, 'no', 'refused'],
  ])('does not try again after %d %s', async (status, name, code) => {
    server.answer = () => refused(name, status, 'because')
    const error = await failureOf(client().token())
    expect(error).toMatchObject({ code, status })
    expect(error.message).toContain(`${name}: because`)
    expect(server.requests).toHaveLength(1)
  })

  it('waits as many seconds as Retry-After says', async () => {
    server.answer = ({ count }) => (count === 1 ? { status: 429, headers: { 'retry-after': '7' } } : issued(count))
    await client().token()
    expect(clock.waits).toEqual([7_000])
  })

  it("waits until the date that Retry-After names, by the server's own clock", async () => {
    const headers = { 'retry-after': 'Sun, 06 Nov 1994 08:49:43 GMT', date: 'Sun, 06 Nov 1994 08:49:37 GMT' }
    server.answer = ({ count }) => (count === 1 ? { status: 503, headers } : issued(count))
    await client().token()
    expect(clock.waits).toEqual([6_000])
  })

  it('fails at once where Retry-After is beyond the time that is left, and leaves the server alone until then', async () => {
    server.answer = ({ count }) => (count === 1 ? { status: 429, headers: { 'retry-after': '60' } } : issued(count))
    const one = client()
    expect(await failureOf(one.token())).toMatchObject({ code: 'rate_limited', status: 429, retryAfterSeconds: 60 })
    clock.pass(10_000)
    const other = await failureOf(one.token({ audience: 'https://other.example' }))
    expect(other).toMatchObject({ code: 'rate_limited', retryAfterSeconds: 50 })
    expect(clock.waits).toEqual([])
    expect(server.requests).toHaveLength(1)
    clock.pass(50_000)
    expect((await one.token()).accessToken).toBe('token-2')
  })

  it('ends one attempt that hangs and tries again', async () => {
    server.answer = ({ count }) => (count === 1 ? { hangs: true } : issued(count))
    const token = await client({ clientSecret: 'secret-1', attemptTimeoutMilliseconds: 1_000 }).token()
    expect(token.accessToken).toBe('token-2')
  })

  it('ends in time when the server never answers', async () => {
    server.answer = () => ({ hangs: true })
    const one = createClient({ issuer: server.issuer, clientId: 'svc-a', clientSecret: 'x', timeoutMilliseconds: 300 })
    const start = performance.now()
    expect(await failureOf(one.token())).toMatchObject({ code: 'timed_out' })
    expect(performance.now() - start).toBeLessThan(5_000)
  })

  it('never spends more than the time it has on waiting', async () => {
    server.answer = () => ({ status: 500 })
    const one = client({ clientSecret: 'secret-1', maximumRetries: 1_000, timeoutMilliseconds: 10_000 })
    await failureOf(one.token())
    expect(clock.waits.reduce((sum, wait) => sum + wait)).toBeLessThan(10_000)
    expect(server.requests.length).toBeLessThan(12)
  })

  it('says that a server which is not there cannot be reached, and the reason', async () => {
    const one = client({ clientSecret: 'x', tokenEndpoint: 'http://127.0.0.1:9/', maximumRetries: 0 })
    expect(await failureOf(one.token())).toMatchObject({ code: 'unreachable' })
  })
})

describe('proving who the client is', () => {
  it('form-encodes id and secret in the Basic header', async () => {
    await client({ clientId: 'svc:a b', clientSecret: 'p%s:+é'.replace('é', '&') }).token()
    const [, encoded] = server.requests[0]!.headers.authorization!.split(' ')
    expect(Buffer.from(encoded!, 'base64').toString()).toBe('svc%3Aa+b:p%25s%3A%2B%26')
  })

  it('puts the secret into the body for client_secret_post, and nothing into the header', async () => {
    await client({ clientSecret: 'a&b=c', authMethod: 'client_secret_post' }).token()
    expect(server.requests[0]!.form.get('client_id')).toBe('svc-a')
    expect(server.requests[0]!.form.get('client_secret')).toBe('a&b=c')
    expect(server.requests[0]!.headers.authorization).toBeUndefined()
  })

  it('tries the next secret where the first is refused, and remembers which one worked', async () => {
    const expected = `Basic ${Buffer.from('svc-a:new').toString('base64')}`
    server.answer = ({ headers, count }) =>
      headers.authorization === expected ? issued(count) : refused('invalid_client', 401)
    const one = client({ clientSecret: 'old', nextClientSecret: 'new' })
    expect((await one.token()).accessToken).toBe('token-2')
    expect((await one.token({ forceRefresh: true })).accessToken).toBe('token-3')
  })

  it('does not try the next secret for any other refusal', async () => {
    server.answer = () => refused('invalid_target')
    await failureOf(client({ clientSecret: 'old', nextClientSecret: 'new' }).token())
    expect(server.requests).toHaveLength(1)
  })

  it('fails with invalid_client where both secrets are refused', async () => {
    server.answer = () => refused('invalid_client', 401)
    const error = await failureOf(client({ clientSecret: 'old', nextClientSecret: 'new' }).token())
    expect(error).toMatchObject({ code: 'invalid_client' })
    expect(server.requests).toHaveLength(2)
  })

  it.each(['ES256', 'RS256', 'EdDSA'] as const)(
    'signs an assertion for the issuer alone, a fresh one each attempt (%s)',
    async (algorithm) => {
      const { privateKey, publicJwk, kid } = await generateSigningKey(algorithm)
      server.answer = ({ count }) => (count < 3 ? { status: 503 } : issued(count))
      await client({ privateKey: { jwk: privateKey.export({ format: 'jwk' }) } }).token()
      const seen = server.requests.map(({ form, headers }) => {
        expect(headers.authorization).toBeUndefined()
        expect(form.get('client_assertion_type')).toBe('urn:ietf:params:oauth:client-assertion-type:jwt-bearer')
        const parsed = parseJwt(form.get('client_assertion')!)
        verifySignature(parsed, importPublicJwk(publicJwk), [algorithm])
        expect(parsed.header.kid).toBe(kid)
        expect(parsed.claims).toMatchObject({ iss: 'svc-a', sub: 'svc-a', aud: server.issuer })
        expect(parsed.claims.exp).toBe(Math.floor(clock.wall / 1000) + 60)
        return parsed.claims.jti
      })
      expect(new Set(seen).size).toBe(3)
    },
  )

  it('takes a PEM key, and a kid of its own', async () => {
    const pem = generateKeyPairSync('ed25519').privateKey.export({ format: 'pem', type: 'pkcs8' }) as string
    await client({ privateKey: { pem, kid: 'my-key' } }).token()
    expect(parseJwt(server.requests[0]!.form.get('client_assertion')!).header).toMatchObject({
      alg: 'EdDSA',
      kid: 'my-key',
    })
  })
})

describe('answers that make no sense', () => {
  const good = { access_token: 'abc', token_type: 'Bearer', expires_in: 60 }
  it.each([
    ['HTML', '<!doctype html><title>Sign in</title>'],
    ['nothing', ''],
    ['an array', '[]'],
    ['null', 'null'],
    ['JSON cut short', '{"access_token":"abc"'],
    ['a member twice', '{"access_token":"abc","access_token":"def","token_type":"Bearer","expires_in":60}'],
    ['invalid UTF-8', Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d])],
    ['JSON 10 000 levels deep', `${'['.repeat(10_000)}${']'.repeat(10_000)}`],
    ['no access_token', { ...good, access_token: undefined }],
    ['an empty access_token', { ...good, access_token: '' }],
    ['a line break in the access_token', { ...good, access_token: 'abc\r\nx-admin: 1' }],
    ['an access_token that is an object', { ...good, access_token: {} }],
    ['a DPoP token', { ...good, token_type: 'DPoP' }],
    ['no token_type', { ...good, token_type: undefined }],
    ['expires_in as a string', { ...good, expires_in: '3600' }],
    ['a negative expires_in', { ...good, expires_in: -1 }],
    ['expires_in of zero', { ...good, expires_in: 0 }],
    ['expires_in beyond all numbers', '{"access_token":"abc","token_type":"Bearer","expires_in":1e999}'],
    ['expires_in of null', { ...good, expires_in: null }],
    ['a scope that is a list', { ...good, scope: ['a'] }],
    ['a body of 1 MB', 'x'.repeat(1_000_000)],
  ])('refuses %s', async (_, body) => {
    server.answer = () => ({ body })
    const error = await failureOf(client().token())
    expect(error).toMatchObject({ name: 'ClientError', code: 'bad_answer' })
    expect(server.requests).toHaveLength(1)
  })

  it('stops reading a body without end', async () => {
    const endless = new ReadableStream<Uint8Array>({ pull: (controller) => controller.enqueue(new Uint8Array(65_536)) })
    const fetch = async () => new Response(endless)
    const one = client({ clientSecret: 'x', fetch, tokenEndpoint: `${server.issuer}token` })
    expect(await failureOf(one.token())).toMatchObject({ code: 'bad_answer' })
  })

  it('keeps a token without expires_in for a minute', async () => {
    server.answer = ({ count }) => issued(count, { expires_in: undefined })
    const one = client()
    expect((await one.token()).expiresAt).toBe(1_800_000_060)
    clock.pass(50_000)
    await one.token()
    expect(server.requests).toHaveLength(1)
    clock.pass(10_000)
    await one.token()
    expect(server.requests).toHaveLength(2)
  })

  it('hands out a token that lives one second', async () => {
    server.answer = ({ count }) => issued(count, { expires_in: 1 })
    const one = client()
    expect((await one.token()).accessToken).toBe('token-1')
    clock.pass(1_000)
    expect((await one.token()).accessToken).toBe('token-2')
  })
})
