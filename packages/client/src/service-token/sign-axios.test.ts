import { request as forward, type IncomingMessage, type ServerResponse } from 'node:http'
import { Readable } from 'node:stream'
import { inspect } from 'node:util'
import { parseJwt } from '@countersign/tokens'
import axios, { type AxiosRequestConfig, type AxiosResponse } from 'axios'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { attachToAxios, signAxios } from '../axios.ts'
import { failureOf, startServer, startTokenServer } from '../fake-server.fixture.ts'
import { createClient } from '../index.ts'
import { newPem, type Receiver, startReceiver, verified } from './receiver.fixture.ts'
import { createServiceDirectory } from './service-directory.ts'
import { createServiceSigner, type ServiceSigner } from './service-signer.ts'

const pem = await newPem()
let api: Receiver
let thief: Receiver
let signer: ServiceSigner

beforeEach(async () => {
  signer = createServiceSigner({ name: 'order', secretKey: pem })
  api = await startReceiver()
  thief = await startReceiver()
})
afterEach(async () => {
  for (const running of [api, thief]) await running[Symbol.asyncDispose]()
})

const claimsOf = (index = -1, audience = api.origin) => verified(api.received.at(index)!, signer, audience)
const printed = (value: unknown) => `${inspect(value, { depth: 20 })}${JSON.stringify(value, withoutCycles())}`

function withoutCycles() {
  const seen = new WeakSet()
  return (_: string, value: unknown) => {
    if (typeof value !== 'object' || value === null) return value
    if (seen.has(value)) return '...'
    seen.add(value)
    return value
  }
}

describe.each(['http', 'fetch'] as const)('axios (%s adapter)', (adapter) => {
  function signing(config: AxiosRequestConfig = {}) {
    const instance = axios.create({ baseURL: api.origin, adapter, ...config })
    return { instance, undo: signAxios(instance, signer) }
  }

  it.each<[string, AxiosRequestConfig]>([
    ['a path and params', { url: '/a/b', params: { c: 'd e', f: ['g', 'h'], i: { j: 'ü' }, k: new Date(0) } }],
    ['a query and params', { url: '/a?b=c', params: { d: '+' } }],
    ['an own serialiser of params', { url: '/a', params: { b: 1 }, paramsSerializer: () => 'x=[y]&z' }],
    ['a fragment', { url: '/a?b#c', params: { d: 1 } }],
    ['an empty query', { url: '/a?' }],
    ['an empty query before a fragment', { url: '/a?#b' }],
    ['no path', { url: '' }],
    ['other characters', { url: '/é;a=b/日本/a b/%2F%zz' }],
    ['dots', { url: '/a/../b/./%2e%2e/c' }],
  ])('signs the target that it sends: %s', async (_, config) => {
    await signing().instance.request(config)
    expect(claimsOf().req).toMatchObject({ method: 'GET', target: api.received[0]!.url })
  })

  const form = () => {
    const data = new FormData()
    data.set('a', 'Ä\r\nb')
    data.set('file', new Blob([new Uint8Array([0, 255])], { type: 'image/png' }), 'a.png')
    return data
  }
  it.each<[string, () => unknown, AxiosRequestConfig?]>([
    ['an object, as JSON', () => ({ n: 1.0, text: 'ü', gone: undefined, when: new Date(0) })],
    ['an array', () => [1, { a: 2 }]],
    ['text', () => 'a=1\r\n '],
    ['a lone surrogate', () => 'a\ud800b'],
    ['nothing', () => undefined],
    ['null', () => null],
    ['an empty text', () => ''],
    ['a number', () => 7, { headers: { 'content-type': 'application/json' } }],
    ['a Buffer', () => Buffer.from([0, 1, 255])],
    ['a view into a larger buffer', () => new Uint8Array([9, 1, 2, 9]).subarray(1, 3)],
    ['an ArrayBuffer', () => new Uint8Array([1, 2]).buffer],
    ['URLSearchParams', () => new URLSearchParams({ a: 'b c' })],
    ['an object as a form in the address style', () => ({ a: 'b c' }), urlEncoded()],
    ['an object as a form of parts', () => ({ a: 'b', c: Buffer.from('d') }), multipart()],
    ['a form', form],
    ['a form with a boundary of the caller', form, multipart('; boundary=----mineMineMine')],
    ['a Blob', () => new Blob(['x'.repeat(70_000)], { type: 'text/csv' })],
    ['a Blob without a type', () => new Blob(['x'])],
    ['what a transform of the caller made', () => 'x', { transformRequest: (data) => `${data}y` }],
  ])('signs the bytes that it sends: %s', async (_, data, config) => {
    await signing().instance.request({ url: '/x', method: 'post', data: data(), ...config })
    claimsOf()
    const { body, headers } = api.received[0]!
    const boundary = /boundary=(\S+)/.exec(headers['content-type'] ?? '')?.[1]
    if (boundary !== undefined) expect(body.toString('latin1')).toContain(`--${boundary}--`)
  })

  it('sends what it would send without a signature', async () => {
    const { instance, undo } = signing()
    const calls: [string, unknown][] = [
      ['post', { a: 1 }],
      ['put', 'text'],
      ['patch', new URLSearchParams({ a: 'b' })],
      ['post', undefined],
      ['delete', undefined],
    ]
    const send = async () => {
      for (const [method, data] of calls) await instance.request({ url: '/x?a', params: { b: 1 }, method, data })
      return api.received.splice(0).map(({ headers, ...rest }) => {
        const { 'x-m2m-token': token, connection: _, ...others } = headers
        return { ...rest, token: undefined, headers: others, signed: token !== undefined }
      })
    }
    const signed = await send()
    undo()
    const plain = await send()
    expect(signed).toEqual(plain.map((one) => ({ ...one, signed: true })))
    expect(plain.every((one) => !one.signed)).toBe(true)
  })

  it.each([301, 302, 303, 307, 308])('follows no %d', async (status) => {
    api.answer = (_, response) => response.writeHead(status, { location: `${thief.origin}/steal` }).end()
    const { instance } = signing()
    expect(await failureOf(instance.get('/'))).toMatchObject({ code: 'redirected', status })
    expect(await failureOf(instance.post('/', {}, { maxRedirects: 3 }))).toMatchObject({ code: 'redirected' })
    expect(await failureOf(instance.get('/', { validateStatus: () => true }))).toMatchObject({ code: 'redirected' })
    expect(await failureOf(instance.get('/', { maxRedirects: 0 }))).toMatchObject({ name: 'AxiosError', status })
    expect(thief.received).toEqual([])
  })

  it('names the receiver at the address where it really goes', async () => {
    const instance = axios.create({ baseURL: api.origin, adapter })
    const directory = createServiceDirectory({ services: { inventory: api.origin } })
    signAxios(instance, signer, { directory, tenant: () => 'shop' })
    await instance.get('/a')
    expect(claimsOf(-1, 'inventory-service')).toMatchObject({ tenant: 'shop' })
    await instance.get(`${thief.origin}/b`)
    instance.interceptors.request.use((config) => ({ ...config, baseURL: thief.origin }))
    await instance.get('/c')
    await instance.get('/d', { allowAbsoluteUrls: false })
    expect(thief.received.map(({ url }) => url)).toEqual(['/b', '/c', '/d'])
    for (const { token } of thief.received) expect(parseJwt(token!).claims.aud).toBe(thief.origin)
  })

  it('signs each attempt anew where a plugin sends the request again', async () => {
    const { instance } = signing()
    let attempts = 0
    api.answer = (_, response) => response.writeHead(++attempts < 3 ? 503 : 200).end()
    instance.interceptors.response.use(undefined, (error) => instance.request(error.config))
    expect(await instance.post('/x', { a: 1 }, { params: { b: 2 } })).toMatchObject({ status: 200 })
    expect(new Set([0, 1, 2].map((index) => claimsOf(index).jti)).size).toBe(3)
    expect(new Set(api.received.map(({ url, body }) => `${url} ${body}`))).toEqual(new Set(['/x?b=2 {"a":1}']))
  })

  it('signs two calls at once with two tokens', async () => {
    const { instance } = signing()
    await Promise.all([instance.get('/x'), instance.get('/x')])
    expect(claimsOf(0).jti).not.toBe(claimsOf(1).jti)
  })

  it("refuses the caller's own token, and another Host", async () => {
    const { instance } = signing()
    expect(await failureOf(instance.get('/', { headers: { 'X-M2M-Token': 'mine' } }))).toMatchObject({
      code: 'token_given',
    })
    const other = signing().instance.get('/', { headers: { Host: new URL(thief.origin).host } })
    expect(await failureOf(other)).toMatchObject({ code: 'invalid_target' })
    expect(api.received).toEqual([])
  })

  it('refuses a stream, and a form with one in it', async () => {
    const stream = () => Readable.from(['x'])
    for (const data of [stream(), new Blob(['x']).stream()]) {
      expect(await failureOf(signing().instance.post('/', data))).toMatchObject({ code: 'body_not_signable' })
    }
    const parts = signing().instance.postForm('/', { file: stream() })
    expect(await failureOf(parts)).toBeInstanceOf(Error)
    expect(api.received).toEqual([])
  })

  it('refuses an address that is none, and other schemes', async () => {
    for (const url of ['/x', 'data:text/plain,x', 'file:///etc/passwd']) {
      const instance = axios.create({ adapter })
      signAxios(instance, signer)
      expect(await failureOf(instance.get(url))).toMatchObject({ code: 'invalid_target' })
    }
  })

  it('shows the token neither in an error nor in an answer', async () => {
    const { instance } = signing()
    const shown: unknown[] = []
    const response: AxiosResponse = await instance.post('/', { a: 1 })
    shown.push(response, response.config)
    api.answer = (_, reply) => reply.writeHead(500).end('broken')
    const failed = await failureOf(instance.get('/'))
    api.answer = (_, reply) => reply.socket!.destroy()
    const broken = await failureOf(instance.get('/'))
    api.answer = (_, reply) => reply.writeHead(302, { location: '/' }).end()
    const redirected = await failureOf(instance.get('/'))
    shown.push(failed, failed.response, failed.config, broken, broken.config, redirected)
    expect(failed).toMatchObject({ name: 'AxiosError', config: { url: '/', baseURL: api.origin } })
    const tokens = api.received.map(({ token }) => token!)
    expect(tokens).toHaveLength(4)
    for (const value of shown) for (const token of tokens) expect(printed(value)).not.toContain(token)
  })

  it('stands beside an access token, and is not used twice when that is renewed', async () => {
    await using server = await startTokenServer()
    const client = createClient({ issuer: server.issuer, clientId: 'a', clientSecret: 's', audience: api.origin })
    api.answer = ({ headers }, reply) => {
      const isOld = headers.authorization === 'Bearer token-1'
      if (isOld) reply.writeHead(401, { 'www-authenticate': 'Bearer error="invalid_token"' })
      reply.end()
    }
    const attach: ((instance: ReturnType<typeof axios.create>) => void)[] = [
      (instance) => signAxios(instance, signer),
      (instance) => attachToAxios(instance, client),
    ]
    for (const order of [attach, attach.toReversed()]) {
      const instance = axios.create({ baseURL: api.origin, adapter })
      for (const step of order) step(instance)
      await instance.get('/').catch(() => {})
    }
    const tokens = api.received.map(({ token }) => token)
    expect(tokens.length).toBeGreaterThanOrEqual(2)
    expect(new Set(tokens).size).toBe(tokens.length)
  })

  it('sends md5 tokens for that profile', async () => {
    signer = createServiceSigner({ name: 'order', secretKey: pem, profile: 'md5' })
    await signing().instance.post('/x', { a: 1 })
    expect(parseJwt(api.received[0]!.token!).claims).toMatchObject({
      requestHash: expect.stringMatching(/^[0-9a-f]{32}$/),
    })
    const form = signing().instance.post('/x', new URLSearchParams({ a: '1' }))
    expect(await failureOf(form)).toMatchObject({ code: 'body_not_signable' })
  })
})

it('binds the body of a GET, which only the http adapter sends', async () => {
  const instance = axios.create({ baseURL: api.origin, adapter: 'http' })
  signAxios(instance, signer)
  await instance.get('/', { data: { a: 1 } })
  expect(api.received[0]!.body.toString()).toBe('{"a":1}')
  claimsOf()
})

it('goes through a proxy that forwards, which cannot lead it elsewhere', async () => {
  const asked: string[] = []
  let answer: (request: IncomingMessage, response: ServerResponse) => void = (request, response) => {
    const { host, pathname, search } = new URL(request.url!)
    const { method, headers } = request
    const options = { host: host.split(':')[0], port: host.split(':')[1], path: pathname + search, method, headers }
    request.pipe(forward(options, (forwarded) => forwarded.pipe(response)))
  }
  await using proxy = await startServer((request, response) => {
    asked.push(request.url!)
    answer(request, response)
  })
  const { hostname, port } = new URL(proxy.origin)
  const instance = axios.create({ adapter: 'http', proxy: { protocol: 'http', host: hostname, port: Number(port) } })
  signAxios(instance, signer)
  await instance.post(`${api.origin}//a;b?c=d#e`, { a: 1 }, { params: { f: 'g h' } })
  expect(asked).toEqual([`${api.origin}//a;b?c=d&f=g+h`])
  expect(claimsOf().req).toMatchObject({ target: '//a;b?c=d&f=g+h' })
  answer = (_, response) => response.writeHead(307, { location: thief.origin }).end()
  expect(await failureOf(instance.post(api.origin, {}))).toMatchObject({ code: 'redirected' })
  expect(thief.received).toEqual([])
})

function urlEncoded(): AxiosRequestConfig {
  return { headers: { 'content-type': 'application/x-www-form-urlencoded' } }
}

function multipart(more = ''): AxiosRequestConfig {
  return { headers: { 'content-type': `multipart/form-data${more}` } }
}
