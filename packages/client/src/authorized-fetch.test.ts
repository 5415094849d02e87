import type { IncomingMessage, ServerResponse } from 'node:http'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import {
  bodyOf,
  type FakeServer,
  type FakeTokenServer,
  failureOf,
  startServer,
  startTokenServer,
} from './fake-server.fixture.ts'
import { type ClientOptions, createClient } from './index.ts'

interface Seen {
  method: string
  url: string
  authorization: string | undefined
  body: string
}

let server: FakeTokenServer
let api: FakeServer
let other: FakeServer
let seen: Seen[]
let answer: (request: IncomingMessage, response: ServerResponse) => void

function record(name: string) {
  return async (request: IncomingMessage, response: ServerResponse) => {
    const { authorization } = request.headers
    seen.push({ method: request.method!, url: `${name}${request.url}`, authorization, body: await bodyOf(request) })
    if (name === 'other') response.end('other')
    else answer(request, response)
  }
}

beforeEach(async () => {
  seen = []
  answer = (_, response) => response.end('ok')
  server = await startTokenServer()
  api = await startServer(record('api'))
  other = await startServer(record('other'))
})
afterEach(async () => {
  for (const running of [server, api, other]) await running[Symbol.asyncDispose]()
})

function client(options: Partial<ClientOptions> = {}) {
  return createClient({
    issuer: server.issuer,
    clientId: 'svc-a',
    clientSecret: 's',
    audience: `${api.origin}/v1`,
    ...options,
  })
}

/** Refuses the tokens that are named, as an API does (RFC 6750). */
function refuse(...tokens: string[]) {
  answer = ({ headers }, response) => {
    const isRefused = tokens.some((token) => headers.authorization === `Bearer ${token}`)
    if (isRefused) response.writeHead(401, { 'www-authenticate': 'Bearer realm="api", error="invalid_token"' })
    response.end(isRefused ? 'refused' : 'ok')
  }
}

describe('fetch', () => {
  it("attaches the token to the audience's own origin", async () => {
    const response = await client().fetch(`${api.origin}/v1/users?a=1`, { method: 'POST', body: 'hello' })
    expect(await response.text()).toBe('ok')
    expect(seen).toEqual([{ method: 'POST', url: 'api/v1/users?a=1', authorization: 'Bearer token-1', body: 'hello' }])
    expect(server.requests[0]!.form.get('audience')).toBe(`${api.origin}/v1`)
  })

  it('takes a URL and a Request too', async () => {
    const one = client()
    await one.fetch(new URL('/a', api.origin))
    await one.fetch(new Request(`${api.origin}/b`, { method: 'PUT', body: 'b', headers: { 'x-a': '1' } }))
    expect(seen).toMatchObject([
      { url: 'api/a', authorization: 'Bearer token-1' },
      { url: 'api/b', method: 'PUT', body: 'b', authorization: 'Bearer token-1' },
    ])
  })

  it('attaches to each declared origin the token for that origin', async () => {
    const targets = { [other.origin]: { audience: 'urn:other', scope: 'read:x' } }
    const one = client({ targets, scope: 'read:users' })
    await one.fetch(api.origin)
    await one.fetch(other.origin)
    expect(seen.map(({ authorization }) => authorization)).toEqual(['Bearer token-1', 'Bearer token-2'])
    expect(server.requests.map(({ form }) => [form.get('audience'), form.get('scope')])).toEqual([
      [`${api.origin}/v1`, 'read:users'],
      ['urn:other', 'read:x'],
    ])
  })

  it('attaches the default token to further origins', async () => {
    await client({ audience: 'urn:api', origins: [other.origin] }).fetch(other.origin)
    expect(seen[0]!.authorization).toBe('Bearer token-1')
  })

  it.each<[string, () => string]>([
    ['another port', () => other.origin],
    ['another name of the same host', () => api.origin.replace('127.0.0.1', 'localhost')],
    ['the origin as a user name', () => `${api.origin.replace('http://127.0.0.1', 'http://localhost')}/${api.origin}`],
  ])('attaches nothing to an origin that is not declared: %s', async (_, address) => {
    await client()
      .fetch(address())
      .catch(() => {})
    expect(seen.every(({ authorization }) => authorization === undefined)).toBe(true)
    expect(server.requests).toHaveLength(0)
  })

  it('attaches nothing where http takes the place of the declared https', async () => {
    const secure = api.origin.replace('http:', 'https:')
    await client({ audience: secure, targets: { [`${secure}/`]: { audience: secure } } }).fetch(api.origin)
    expect(seen).toMatchObject([{ url: 'api/', authorization: undefined }])
  })

  it("does not declare an audience's origin that would get tokens in the clear", async () => {
    const authorizations: unknown[] = []
    const fetch: typeof globalThis.fetch = async (input) => {
      authorizations.push((input as Request).headers.get('authorization'))
      return new Response('ok')
    }
    const one = client({ audience: 'http://api.example.com', fetch })
    await one.fetch('http://api.example.com/')
    expect(authorizations).toEqual([null])
  })

  it("leaves the caller's own Authorization alone", async () => {
    const one = client()
    await one.fetch(api.origin, { headers: { Authorization: 'Basic abc' } })
    await one.fetch(new Request(api.origin, { headers: { authorization: 'Bearer mine' } }))
    expect(seen.map(({ authorization }) => authorization)).toEqual(['Basic abc', 'Bearer mine'])
    expect(server.requests).toHaveLength(0)
  })

  it('is stopped by a signal while it waits for the token', async () => {
    server.answer = () => ({ hangs: true })
    const error = await failureOf(client().fetch(api.origin, { signal: AbortSignal.timeout(50) }))
    expect(error.name).toBe('TimeoutError')
    expect(seen).toEqual([])
  })

  it('fails as token() does where no token is to be had', async () => {
    server.answer = () => ({ status: 400, body: { error: 'invalid_target' } })
    expect(await failureOf(client().fetch(api.origin))).toMatchObject({ code: 'invalid_target' })
    expect(seen).toEqual([])
  })
})

describe('fetch, where the API refuses the token', () => {
  it('gets another token and tries once more', async () => {
    refuse('token-1')
    const response = await client().fetch(`${api.origin}/x`, { method: 'POST', body: 'again' })
    expect(await response.text()).toBe('ok')
    expect(seen).toMatchObject([
      { authorization: 'Bearer token-1', body: 'again' },
      { authorization: 'Bearer token-2', body: 'again' },
    ])
  })

  it('gets one other token for 50 calls that were refused', async () => {
    refuse('token-1')
    const one = client()
    const responses = await Promise.all(Array.from({ length: 50 }, () => one.fetch(api.origin)))
    expect(responses.every(({ status }) => status === 200)).toBe(true)
    expect(server.requests).toHaveLength(2)
  })

  it('answers 401 where the second token is refused too, and does not flood the token server', async () => {
    refuse('token-1', 'token-2', 'token-3')
    const one = client()
    for (let i = 0; i < 20; i++) expect((await one.fetch(api.origin)).status).toBe(401)
    expect(server.requests).toHaveLength(2)
  })

  it('does not send a stream a second time', async () => {
    refuse('token-1')
    const body = new ReadableStream({
      start(controller) {
        controller.enqueue(new TextEncoder().encode('once'))
        controller.close()
      },
    })
    const response = await client().fetch(api.origin, { method: 'POST', body, duplex: 'half' } as RequestInit)
    expect(response.status).toBe(401)
    refuse('token-2')
    const request = new Request(api.origin, { method: 'POST', body: 'a Request may hold a stream too' })
    expect((await client().fetch(request)).status).toBe(401)
    expect(seen).toHaveLength(2)
  })

  it.each([
    ['a 401 that does not say invalid_token', 401, 'Bearer realm="api"'],
    ['a 401 of another scheme', 401, 'Basic realm="invalid_token"'],
    ['a 403', 403, 'Bearer error="insufficient_scope"'],
  ])('leaves %s as it is', async (_, status, challenge) => {
    answer = (_request, response) => response.writeHead(status, { 'www-authenticate': challenge }).end('no')
    expect((await client().fetch(api.origin)).status).toBe(status)
    expect(server.requests).toHaveLength(1)
  })

  it('answers the first 401 where no other token is to be had', async () => {
    refuse('token-1')
    server.answer = ({ count }) =>
      count === 1 ? { body: { access_token: 'token-1', token_type: 'Bearer', expires_in: 60 } } : { status: 401 }
    const response = await client().fetch(api.origin)
    expect([response.status, await response.text()]).toEqual([401, 'refused'])
  })

  it('takes the refused token out of the store', async () => {
    refuse('token-1')
    const deleted: string[] = []
    const entries = new Map()
    const store = {
      get: async (key: string) => entries.get(key),
      set: async (key: string, token: unknown) => void entries.set(key, token),
      delete: async (key: string) => void deleted.push(key),
    }
    await client({ store }).fetch(api.origin)
    expect(deleted).toHaveLength(1)
  })
})

describe('fetch and redirects', () => {
  const redirect = (location: string, status = 302) => {
    answer = ({ url }, response) => {
      if (url === '/start') response.writeHead(status, { location }).end()
      else response.end('arrived')
    }
  }

  it('follows one within the origin, token included', async () => {
    redirect('/end?x=1')
    expect(await (await client().fetch(`${api.origin}/start`)).text()).toBe('arrived')
    expect(seen.map(({ url, authorization }) => [url, authorization])).toEqual([
      ['api/start', 'Bearer token-1'],
      ['api/end?x=1', 'Bearer token-1'],
    ])
  })

  it.each([301, 302, 303, 307, 308])('refuses a %d to another origin', async (status) => {
    redirect(`${other.origin}/steal?secret=1`, status)
    const error = await failureOf(client({ origins: [other.origin] }).fetch(`${api.origin}/start`))
    expect(error).toMatchObject({ code: 'redirected', status })
    expect(error.message).not.toContain('secret=1')
    expect(seen.map(({ url }) => url)).toEqual(['api/start'])
  })

  it.each([
    ['a protocol-relative one', () => `//localhost:${new URL(api.origin).port}/`],
    ['one to another scheme', () => api.origin.replace('http:', 'https:')],
    ['one without a location', () => ''],
  ])('refuses %s', async (_, location) => {
    redirect(location())
    const error = await failureOf(client().fetch(`${api.origin}/start`))
    expect(['redirected']).toContain(error.code)
    expect(seen.length).toBeLessThanOrEqual(6)
  })

  it.each([302, 303, 307])('refuses a %d after POST', async (status) => {
    redirect('/end', status)
    const posted = client().fetch(`${api.origin}/start`, { method: 'POST', body: 'x' })
    expect(await failureOf(posted)).toMatchObject({ code: 'redirected' })
  })

  it('ends a loop', async () => {
    answer = (_, response) => response.writeHead(302, { location: '/again' }).end()
    expect(await failureOf(client().fetch(api.origin))).toMatchObject({ code: 'redirected' })
    expect(seen).toHaveLength(6)
  })

  it('hands out the redirect itself where the caller asks for that, and fails where he asks for that', async () => {
    redirect(other.origin)
    const one = client()
    expect((await one.fetch(`${api.origin}/start`, { redirect: 'manual' })).status).toBe(302)
    expect(await failureOf(one.fetch(`${api.origin}/start`, { redirect: 'error' }))).toMatchObject({
      code: 'redirected',
    })
    expect(seen.map(({ url }) => url)).toEqual(['api/start', 'api/start'])
  })
})
