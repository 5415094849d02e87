import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createClock, type FakeTokenServer, startTokenServer } from './fake-server.fixture.ts'
import { type ClientOptions, createClient, type StoredToken, type TokenStore } from './index.ts'

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
    clientSecret: 's',
    now,
    monotonicNow,
    random,
    wait,
    ...options,
  })
}

/** A store of plain JSON, as Redis would be. */
function createStore() {
  const entries = new Map<string, string>()
  const deleted: string[] = []
  const store: TokenStore = {
    get: async (key) => JSON.parse(entries.get(key) ?? 'null') ?? undefined,
    set: async (key, token) => void entries.set(key, JSON.stringify(token)),
    delete: async (key) => {
      deleted.push(key)
      entries.delete(key)
    },
  }
  return { ...store, entries, deleted }
}

const good: StoredToken = {
  accessToken: 'stored',
  tokenType: 'Bearer',
  obtainedAt: 1_800_000_000,
  expiresAt: 1_800_003_600,
}

describe('a token store', () => {
  it('spares other processes a request', async () => {
    const store = createStore()
    await client({ store }).token()
    const token = await client({ store }).token()
    expect(token).toEqual({ accessToken: 'token-1', tokenType: 'Bearer', expiresAt: 1_800_003_600 })
    expect(server.requests).toHaveLength(1)
  })

  it('keeps clients, issuers, audiences and scopes apart', async () => {
    const store = createStore()
    await client({ store, audience: 'https://a.example' }).token()
    await client({ store, audience: 'https://b.example' }).token()
    await client({ store, clientId: 'svc-b', audience: 'https://a.example' }).token()
    await client({ store, audience: 'https://a.example', scope: 'x' }).token()
    await client({ store, clientId: 'svc-a","https://a.example' }).token()
    expect(store.entries.size).toBe(5)
    expect(server.requests).toHaveLength(5)
  })

  it('gets the renewed token of another process instead of asking', async () => {
    const store = createStore()
    const one = client({ store })
    await one.token()
    clock.pass(3_300_000)
    await client({ store }).token()
    expect(server.requests).toHaveLength(2)
    await one.token()
    await expect.poll(async () => (await one.token()).accessToken).toBe('token-2')
    expect(server.requests).toHaveLength(2)
  })

  it('is passed over when a new token is asked for, and gets that one', async () => {
    const store = createStore()
    const one = client({ store })
    await one.token()
    expect((await one.token({ forceRefresh: true })).accessToken).toBe('token-2')
    expect((await client({ store }).token()).accessToken).toBe('token-2')
  })

  it.each<[string, unknown]>([
    ['expired', { ...good, obtainedAt: 1_799_996_000, expiresAt: 1_799_999_600 }],
    ['from the future', { ...good, obtainedAt: 1_800_000_100, expiresAt: 1_800_003_700 }],
    ['not a token', 'token'],
    ['null', null],
    ['one that breaks out of the header', { ...good, accessToken: 'a\r\nb: c' }],
    ['of another type', { ...good, tokenType: 'DPoP' }],
    ['without an end', { ...good, expiresAt: undefined }],
    ['with an end that is text', { ...good, expiresAt: '1800003600' }],
    ['that ended before it began', { ...good, expiresAt: 1_700_000_000 }],
  ])('is not believed where what it holds is %s', async (_, stored) => {
    const store = { ...createStore(), get: async () => stored as StoredToken }
    expect((await client({ store }).token()).accessToken).toBe('token-1')
  })

  it('believes what is good (so that the test above can fail)', async () => {
    const store = { ...createStore(), get: async () => good }
    expect((await client({ store }).token()).accessToken).toBe('stored')
  })

  it.each<[string, () => Promise<never>]>([
    ['fails', () => Promise.reject(new Error('the store quotes token-1'))],
    [
      'throws',
      () => {
        throw new Error('the store quotes token-1')
      },
    ],
  ])('that %s does not keep a token from the caller', async (_, fail) => {
    const warnings: Error[] = []
    const store = { get: fail, set: fail, delete: fail }
    const one = client({ store, onWarning: (warning) => warnings.push(warning) })
    expect((await one.token()).accessToken).toBe('token-1')
    expect((await one.token({ forceRefresh: true })).accessToken).toBe('token-2')
    expect(warnings.length).toBeGreaterThanOrEqual(2)
    for (const warning of warnings) {
      expect(warning).toMatchObject({ code: 'store_failed' })
      expect(String(warning)).not.toContain('token-1')
    }
  })

  it('that hangs costs half a second, once', async () => {
    const never = () => new Promise<never>(() => {})
    const one = client({ store: { get: never, set: never, delete: never } })
    const start = performance.now()
    expect((await one.token()).accessToken).toBe('token-1')
    expect(performance.now() - start).toBeLessThan(10_000)
    expect((await one.token()).accessToken).toBe('token-1')
  })

  it('survives a listener for warnings that throws', async () => {
    const fail = () => Promise.reject(new Error('no'))
    const onWarning = () => {
      throw new Error('listener')
    }
    const one = client({ store: { get: fail, set: fail, delete: fail }, onWarning })
    expect((await one.token()).accessToken).toBe('token-1')
  })
})
