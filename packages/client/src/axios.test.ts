import type { IncomingMessage, ServerResponse } from 'node:http'
import { Readable } from 'node:stream'
import { inspect } from 'node:util'
import axios from 'axios'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { attachToAxios } from './axios.ts'
import {
  bodyOf,
  type FakeServer,
  type FakeTokenServer,
  failureOf,
  startServer,
  startTokenServer,
} from './fake-server.fixture.ts'
import { createClient } from './index.ts'

let server: FakeTokenServer
let api: FakeServer
let other: FakeServer
let seen: { url: string; authorization: string | undefined; body: string }[]
let answer: (request: IncomingMessage, response: ServerResponse) => void

beforeEach(async () => {
  seen = []
  answer = (_, response) => response.end('ok')
  server = await startTokenServer()
  const record = (name: string) => async (request: IncomingMessage, response: ServerResponse) => {
    seen.push({ url: name + request.url, authorization: request.headers.authorization, body: await bodyOf(request) })
    if (name === 'api') answer(request, response)
    else response.end('other')
  }
  api = await startServer(record('api'))
  other = await startServer(record('other'))
})
afterEach(async () => {
  for (const running of [server, api, other]) await running[Symbol.asyncDispose]()
})

function attached(adapter: 'http' | 'fetch' = 'http') {
  const client = createClient({ issuer: server.issuer, clientId: 'svc-a', clientSecret: 's', audience: api.origin })
  const instance = axios.create({ baseURL: api.origin, adapter })
  return { instance, client, detach: attachToAxios(instance, client) }
}

function refuse(...tokens: string[]) {
  answer = ({ headers }, response) => {
    const isRefused = tokens.some((token) => headers.authorization === `Bearer ${token}`)
    if (isRefused) response.writeHead(401, { 'www-authenticate': 'Bearer realm="api", error="invalid_token"' })
    response.end(isRefused ? 'refused' : 'ok')
  }
}

describe.each(['http', 'fetch'] as const)('axios (%s adapter)', (adapter) => {
  it('attaches the token of the origin', async () => {
    const { data, config } = await attached(adapter).instance.post('/users', { a: 1 }, { params: { b: '2 3' } })
    expect(data).toBe('ok')
    expect(seen).toEqual([{ url: 'api/users?b=2+3', authorization: 'Bearer token-1', body: '{"a":1}' }])
    expect(config).toMatchObject({ url: '/users', baseURL: api.origin, params: { b: '2 3' } })
  })

  it('attaches nothing to another origin, also where an absolute address overrides baseURL', async () => {
    const { instance } = attached(adapter)
    await instance.get(other.origin)
    await instance.get('/', { baseURL: other.origin })
    await instance.get(`//${new URL(other.origin).host}/`).catch(() => {})
    expect(seen.filter(({ url }) => url.startsWith('other')).length).toBeGreaterThanOrEqual(2)
    expect(seen.filter(({ url }) => url.startsWith('other')).every((one) => one.authorization === undefined)).toBe(true)
    expect(seen.filter(({ url }) => url.startsWith('api')).length).toBeLessThanOrEqual(1)
  })

  it('attaches nothing where an interceptor that runs later changes the address', async () => {
    const { instance } = attached(adapter)
    instance.interceptors.request.use((config) => ({ ...config, baseURL: other.origin }))
    const client = createClient({ issuer: server.issuer, clientId: 'svc-a', clientSecret: 's', audience: api.origin })
    attachToAxios(instance, client)
    await instance.get('/x')
    expect(seen).toMatchObject([{ url: 'other/x', authorization: undefined }])
  })

  it("leaves the caller's own credential alone", async () => {
    const { instance } = attached(adapter)
    await instance.get('/', { headers: { authorization: 'Basic abc' } })
    await instance.get('/', { auth: { username: 'u', password: 'p' } })
    expect(seen.map(({ authorization }) => authorization)).toEqual(['Basic abc', 'Basic dTpw'])
    expect(server.requests).toHaveLength(0)
  })

  it('gets another token and tries once more where the API refuses it', async () => {
    refuse('token-1')
    const { data } = await attached(adapter).instance.post('/', { again: true })
    expect(data).toBe('ok')
    expect(seen).toMatchObject([
      { authorization: 'Bearer token-1', body: '{"again":true}' },
      { authorization: 'Bearer token-2', body: '{"again":true}' },
    ])
  })

  it('tries again too where every status is fine to the caller', async () => {
    refuse('token-1')
    const { status } = await attached(adapter).instance.get('/', { validateStatus: () => true })
    expect(status).toBe(200)
  })

  it('fails as axios does where the second token is refused too', async () => {
    refuse('token-1', 'token-2')
    const error = await failureOf(attached(adapter).instance.get('/'))
    expect(error).toMatchObject({ name: 'AxiosError', status: 401 })
    expect(seen).toHaveLength(2)
  })

  it.each([302, 307])('follows no %d with a token', async (status) => {
    answer = (_, response) => response.writeHead(status, { location: `${other.origin}/steal` }).end()
    const { instance } = attached(adapter)
    expect(await failureOf(instance.get('/'))).toMatchObject({ code: 'redirected', status })
    expect(await failureOf(instance.get('/', { validateStatus: () => true }))).toMatchObject({ code: 'redirected' })
    expect(await failureOf(instance.get('/', { maxRedirects: 0 }))).toMatchObject({ name: 'AxiosError', status })
    expect(seen.every(({ url }) => url === 'api/')).toBe(true)
  })

  it('shows the token neither in an error nor in an answer', async () => {
    const { instance } = attached(adapter)
    const response = await instance.get('/')
    answer = (_, reply) => reply.writeHead(500).end('broken')
    const failed = await failureOf(instance.get('/'))
    answer = ({ socket }) => socket.destroy()
    const broken = await failureOf(instance.get('/'))
    expect(seen.at(-1)!.authorization).toBe('Bearer token-1')
    for (const value of [response, response.config, failed, failed.response, broken]) {
      expect(inspect(value, { depth: 20 })).not.toContain('token-1')
    }
    for (const error of [failed, broken]) expect(JSON.stringify(error)).not.toContain('token-1')
  })

  it('is undone by what it returned', async () => {
    const { instance, detach } = attached(adapter)
    detach()
    await instance.get('/')
    expect(seen[0]!.authorization).toBeUndefined()
  })

  it('is stopped by a signal while it waits for the token', async () => {
    server.answer = () => ({ hangs: true })
    const error = await failureOf(attached(adapter).instance.get('/', { signal: AbortSignal.timeout(50) }))
    expect(['TimeoutError', 'CanceledError']).toContain(error.name)
    expect(seen).toEqual([])
  })
})

describe('axios', () => {
  it('does not send a stream a second time', async () => {
    refuse('token-1')
    const error = await failureOf(attached().instance.post('/', Readable.from(['once'])))
    expect(error).toMatchObject({ status: 401 })
    expect(seen).toHaveLength(1)
  })
})
