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

const secret = 'cs_secret_for-tests-only'
let server: FakeTokenServer
let clock: ReturnType<typeof createClock>

beforeEach(async () => {
  server = await startTokenServer()
  clock = createClock()
})
afterEach(() => server[Symbol.asyncDispose]())

function client(options: Partial<ClientOptions> = {}) {
  const { now, monotonicNow, random, wait } = clock
  return createClient({
    issuer: server.issuer,
    clientId: 'svc-a',
    clientSecret: secret,
    now,
    monotonicNow,
    random,
    wait,
    ...options,
  })
}

/** Lets what runs in the background come to an end. */
async function settled(condition: () => boolean): Promise<void> {
  await expect.poll(condition, { interval: 2 }).toBe(true)
}

describe('getting a token', () => {
  it('asks the token endpoint that the metadata names, with the client credentials grant', async () => {
    const token = await client().token({ audience: 'https://api.example.com', scope: 'read:users write:users' })
    expect(token).toEqual({
      accessToken: 'token-1',
      tokenType: 'Bearer',
      expiresAt: 1_800_003_600,
      scope: 'read:users write:users',
    })
    expect(Object.fromEntries(server.requests[0]!.form)).toEqual({
      grant_type: 'client_credentials',
      audience: 'https://api.example.com',
      scope: 'read:users write:users',
    })
    expect(server.requests[0]!.headers.authorization).toBe(`Basic ${Buffer.from(`svc-a:${secret}`).toString('base64')}`)
  })

  it('reports the scope that was granted where it differs from what was asked', async () => {
    server.answer = () => issued(1, { scope: 'read:users', token_type: 'bearer' })
    expect(await client().token({ scope: ['write:users', 'read:users'] })).toMatchObject({
      scope: 'read:users',
      tokenType: 'Bearer',
    })
  })

  it('reads the metadata once', async () => {
    const one = client()
    await one.token()
    await one.token({ audience: 'https://b.example' })
    expect(server.metadataRequests).toBe(1)
  })

  it('leaves the metadata alone where tokenEndpoint is configured', async () => {
    await client({ tokenEndpoint: `${server.origin}/custom` }).token()
    expect(server.metadataRequests).toBe(0)
  })

  it('goes on with the old metadata while it cannot be read again', async () => {
    const one = client()
    await one.token()
    server.metadataStatus = 503
    clock.pass(3_601_000)
    expect((await one.token()).accessToken).toBe('token-2')
    expect(server.metadataRequests).toBe(2)
  })
})

describe('keeping tokens', () => {
  it('hands out the same token until it is about to end', async () => {
    const one = client()
    await one.token()
    clock.pass(3_000_000)
    expect((await one.token()).accessToken).toBe('token-1')
    expect(server.requests).toHaveLength(1)
  })

  it('keeps tokens apart by audience and by scope, but not by the order of scopes', async () => {
    const one = client()
    await one.token({ audience: 'https://a.example', scope: 'x y' })
    await one.token({ audience: 'https://a.example', scope: ['y', 'x', 'y'] })
    await one.token({ audience: 'https://a.example', scope: 'x' })
    await one.token({ audience: 'https://b.example', scope: 'x y' })
    await one.token({ audience: 'https://b.example x', scope: 'y' })
    expect(server.requests).toHaveLength(4)
  })

  it('makes one request when 100 callers ask at once', async () => {
    const one = client()
    const tokens = await Promise.all(Array.from({ length: 100 }, () => one.token({ audience: 'https://a.example' })))
    expect(new Set(tokens.map((token) => token.accessToken))).toEqual(new Set(['token-1']))
    expect(server.requests).toHaveLength(1)
  })

  it('fails all 100 with one request, and asks again after that', async () => {
    server.answer = ({ count }) => (count === 1 ? refused('invalid_client', 401) : issued(count))
    const one = client()
    const results = await Promise.allSettled(Array.from({ length: 100 }, () => one.token()))
    expect(results.every((result) => result.status === 'rejected')).toBe(true)
    expect(server.requests).toHaveLength(1)
    expect((await one.token()).accessToken).toBe('token-2')
  })

  it('asks again when forced, once for 100 callers', async () => {
    const one = client()
    await one.token()
    const tokens = await Promise.all(Array.from({ length: 100 }, () => one.token({ forceRefresh: true })))
    expect(new Set(tokens.map((token) => token.accessToken))).toEqual(new Set(['token-2']))
    expect(server.requests).toHaveLength(2)
  })

  it('remembers at most 1000 tokens', async () => {
    const one = client()
    for (let i = 0; i <= 1000; i++) await one.token({ audience: `https://${i}.example` })
    await one.token({ audience: 'https://1.example' })
    expect(server.requests).toHaveLength(1001)
    await one.token({ audience: 'https://0.example' })
    expect(server.requests).toHaveLength(1002)
  })
})

describe('renewing ahead', () => {
  it('renews in the background in the last tenth, and hands out the old token meanwhile', async () => {
    let arrived = false
    const store = {
      get: async () => undefined,
      set: async () => {
        arrived = server.requests.length === 2
      },
      delete: async () => {},
    }
    const one = client({ store })
    await one.token()
    clock.pass(3_241_000)
    expect((await one.token()).accessToken).toBe('token-1')
    await settled(() => server.requests.length === 2)
    await settled(() => arrived)
    expect((await one.token()).accessToken).toBe('token-2')
    expect(server.requests).toHaveLength(2)
  })

  it.each([
    [0, 3_600_000 - 270_000],
    [0.999999, 3_600_000 - 450_000],
  ])('spreads renewals of processes that started together (random %d)', async (random, renewAfter) => {
    const one = client({ random: () => random })
    await one.token()
    clock.pass(renewAfter - 1_000)
    await one.token()
    clock.pass(2_000)
    await one.token()
    await settled(() => server.requests.length === 2)
  })

  it('waits for a new token once the old one has ended', async () => {
    const one = client()
    await one.token()
    clock.pass(3_596_000)
    expect((await one.token()).accessToken).toBe('token-2')
  })

  it('serves the old token while renewal fails, says so, and does not ask again at every call', async () => {
    const warnings: string[] = []
    const one = client({ maximumRetries: 0, onWarning: ({ code }) => warnings.push(code) })
    await one.token()
    server.answer = () => ({ status: 503 })
    clock.pass(3_300_000)
    for (let i = 0; i < 50; i++) expect((await one.token()).accessToken).toBe('token-1')
    await settled(() => warnings.length === 1)
    for (let i = 0; i < 50; i++) {
      await one.token()
      await new Promise((resolve) => setTimeout(resolve, 1))
    }
    expect(server.requests).toHaveLength(2)
    clock.pass(11_000)
    await one.token()
    await settled(() => warnings.length === 2)
  })

  it('renews by refreshAheadSeconds where that is set', async () => {
    const one = client({ refreshAheadSeconds: 60 })
    await one.token()
    clock.pass(3_500_000)
    await one.token()
    clock.pass(41_000)
    await one.token()
    await settled(() => server.requests.length === 2)
  })
})

describe('clocks that jump', () => {
  it('does not trust a token longer because the clock was set back', async () => {
    const one = client()
    await one.token()
    clock.monotonic += 3_600_000
    clock.wall -= 86_400_000
    expect((await one.token()).accessToken).toBe('token-2')
  })

  it('renews after a sleep that the monotonic clock did not see', async () => {
    const one = client()
    await one.token()
    clock.wall += 3_600_000
    expect((await one.token()).accessToken).toBe('token-2')
  })

  it('counts the life of a token from when it was asked for, not from when it arrived', async () => {
    server.answer = ({ count }) => {
      clock.pass(4_000)
      return issued(count, { expires_in: 60 })
    }
    expect((await client().token()).expiresAt).toBe(1_800_000_060)
  })
})

describe('stopping', () => {
  it('stops one caller by his signal and not the others', async () => {
    const { promise, resolve } = Promise.withResolvers<void>()
    server.answer = async ({ count }) => promise.then(() => issued(count))
    const one = client()
    const controller = new AbortController()
    const stopped = failureOf(one.token({ signal: controller.signal }))
    const other = one.token()
    controller.abort(new Error('enough'))
    expect((await stopped).message).toBe('enough')
    resolve()
    expect((await other).accessToken).toBe('token-1')
  })

  it('refuses a signal that has aborted already', async () => {
    const one = client()
    expect((await failureOf(one.token({ signal: AbortSignal.abort(new Error('before')) }))).message).toBe('before')
  })

  it('fails what is under way when closed, and everything after', async () => {
    server.answer = () => ({ hangs: true })
    const one = client()
    const waiting = failureOf(one.token())
    await settled(() => server.requests.length === 1)
    one.close()
    expect(await waiting).toMatchObject({ code: 'closed' })
    expect(await failureOf(one.token())).toMatchObject({ code: 'closed' })
  })
})
