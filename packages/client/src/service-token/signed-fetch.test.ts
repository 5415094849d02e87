import { spawn } from 'node:child_process'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { Readable } from 'node:stream'
import { inspect } from 'node:util'
import { gzipSync } from 'node:zlib'
import { checkMd5Token, md5RequestHashes, parseJwks, parseJwt } from '@countersign/tokens'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { failureOf } from '../fake-server.fixture.ts'
import { ClientError } from '../index.ts'
import { newPem, type Receiver, startReceiver, verified } from './receiver.fixture.ts'
import { createServiceDirectory } from './service-directory.ts'
import { createServiceSigner, type ServiceSigner } from './service-signer.ts'
import { createSignedFetch, type SignedFetchOptions } from './signed-fetch.ts'

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

const signedFetch = (options?: SignedFetchOptions) => createSignedFetch(signer, options)
const claimsOf = (index = -1, audience = api.origin) => verified(api.received.at(index)!, signer, audience)

/** Everything that a logger might print. */
function printed(value: unknown): string {
  const error = value instanceof Error ? [value.message, value.stack, String(value)] : []
  return [inspect(value, { depth: 20, showHidden: true }), JSON.stringify(value), ...error].join('\n')
}

describe('the target that is signed is the one on the wire', () => {
  it.each([
    '',
    '/',
    '?',
    '/x?',
    '?a',
    '//',
    '//a//b/',
    '/a;b=c;d',
    '/é/日本?ü=ö',
    '/%2e%2e/x',
    '/a/../b/./c',
    '/a%2Fb%5c',
    '/x?b=2&a=1&a=2',
    '/x?q=a+b%20c',
    '/x#fragment',
    '/x?#',
    '/x?#y?z',
    '?#',
    "/a|b\\c?'|^`{}",
    '/a b?c d',
    '/[x]?[y]',
    '/%zz%',
    '/\u0065\u0301',
    '/a\tb\nc',
    '/http://other.example/',
    '/@x:y/',
  ])('%j', async (path) => {
    await signedFetch()(api.origin + path)
    await signedFetch()(new Request(api.origin + path))
    for (const index of [0, 1]) {
      expect(claimsOf(index).req).toMatchObject({ method: 'GET', target: api.received[0]!.url })
    }
  })

  it.each(['get', 'post', 'patch', 'Delete', 'PUT', 'HEAD', 'OPTIONS', 'query'])(
    'with the method %s',
    async (method) => {
      await signedFetch()(`${api.origin}/x`, { method })
      expect(claimsOf().req).toMatchObject({ method: method.toUpperCase() })
    },
  )
})

const form = () => {
  const data = new FormData()
  data.set('name', 'Ä\r\nb')
  data.set('file', new Blob([new Uint8Array([0, 255, 10, 13])], { type: 'image/png' }), 'a "b".png')
  return data
}
const larger = new Uint8Array([9, 9, 1, 2, 3, 9])

describe('the bytes that are signed are those that are sent', () => {
  it.each<[string, () => RequestInit['body']]>([
    ['JSON', () => JSON.stringify({ n: 1.0, text: 'ü\u2028' })],
    ['text with other line ends and a space at the end', () => '{"a":1}\r\n '],
    ['decomposed text', () => 'e\u0301'],
    ['a lone surrogate', () => 'a\ud800b'],
    ['an empty text', () => ''],
    ['nothing', () => undefined],
    ['null', () => null],
    ['a view into a larger buffer', () => larger.subarray(2, 5)],
    ['a DataView', () => new DataView(larger.buffer, 1, 2)],
    ['an ArrayBuffer', () => larger.buffer],
    ['a Buffer', () => Buffer.from('pooled')],
    ['URLSearchParams', () => new URLSearchParams({ a: 'b c', ü: '+' })],
    ['a form with a file', form],
    ['a Blob with a type', () => new Blob(['x'.repeat(70_000)], { type: 'text/csv' })],
    ['a Blob without a type', () => new Blob([larger])],
  ])('%s', async (_, body) => {
    await signedFetch()(`${api.origin}/x`, { method: 'POST', body: body() })
    await fetch(`${api.origin}/x`, { method: 'POST', body: body() })
    claimsOf(0)
    const [signed, plain] = api.received.map(({ headers, body }) => ({
      type: headers['content-type']?.replace(/boundary=.*/, 'boundary'),
      length: headers['content-length'],
      body: body.toString('latin1').replaceAll(/----formdata-undici-\d+/g, ''),
    }))
    expect(signed).toEqual(plain)
  })

  it('a Request, with its method, headers and body', async () => {
    const request = new Request(`${api.origin}/r?a=1`, { method: 'PUT', body: '{"a":1}', headers: { 'x-mine': 'yes' } })
    await signedFetch()(request, { headers: { 'x-other': 'yes' } })
    expect(claimsOf().req).toMatchObject({ method: 'PUT', target: '/r?a=1' })
    expect(api.received[0]!.headers).toMatchObject({ 'x-other': 'yes' })
    await signedFetch()(new Request(request.url, { method: 'PUT', body: '{}', headers: { 'x-mine': 'yes' } }))
    expect(claimsOf(1)).toMatchObject({ sub: 'order-service' })
    expect(api.received[1]!.headers).toMatchObject({ 'x-mine': 'yes' })
  })

  it('with a content coding, as they are', async () => {
    const body = gzipSync('{"a":1}')
    await signedFetch()(api.origin, { method: 'POST', body, headers: { 'content-encoding': 'gzip' } })
    expect(api.received[0]!.body.equals(body)).toBe(true)
    claimsOf()
  })

  it('whatever becomes of the buffer after the call', async () => {
    const slow: typeof fetch = async (input, init) => {
      await new Promise((resolve) => setTimeout(resolve, 10))
      return fetch(input, init)
    }
    for (const options of [{}, { fetch: slow }]) {
      const body = Buffer.from('{"amount":1}')
      const call = signedFetch(options)(api.origin, { method: 'POST', body })
      body.fill('9')
      await call
      expect(api.received.at(-1)!.body.toString()).toBe('{"amount":1}')
      claimsOf()
    }
  })

  it.each<[string, () => unknown]>([
    ['a ReadableStream', () => new Blob(['x']).stream()],
    ['a Node stream', () => Readable.from(['x'])],
    [
      'a generator',
      () =>
        (async function* () {
          yield Buffer.from('x')
        })(),
    ],
  ])('and %s is not sent at all', async (_, body) => {
    const init = { method: 'POST', body: body() as RequestInit['body'], duplex: 'half' } as RequestInit
    const error = await failureOf(signedFetch()(api.origin, init))
    expect(error).toMatchObject({
      code: 'body_not_signable',
      message: expect.stringContaining('as a string or a Buffer'),
    })
    expect(api.received).toEqual([])
  })
})

describe('each call has a token of its own', () => {
  it('when two are made at once, and when one is made again', async () => {
    const send = signedFetch()
    await Promise.all([send(`${api.origin}/x`), send(`${api.origin}/x`)])
    await send(`${api.origin}/x`)
    const ids = [0, 1, 2].map((index) => claimsOf(index).jti)
    expect(new Set(ids).size).toBe(3)
  })

  it('names the tenant of the moment, and none where there is none', async () => {
    const tenants = ['a', undefined]
    const send = signedFetch({ tenant: () => tenants.shift() })
    await send(api.origin)
    await send(api.origin)
    expect(claimsOf(0).tenant).toBe('a')
    expect(claimsOf(1)).not.toHaveProperty('tenant')
    await signedFetch({ tenant: 'fixed' })(api.origin)
    expect(claimsOf().tenant).toBe('fixed')
  })

  it('in the header that was asked for', async () => {
    await signedFetch({ header: 'm2m-token' })(api.origin)
    expect(Object.keys(api.received[0]!.headers)).toContain('m2m-token')
    claimsOf()
  })

  it.each(['x-m2m-token', 'X-M2M-Token', 'm2m-token'])("and the caller's own %s is refused", async (name) => {
    const given = { headers: { [name]: 'mine' } }
    for (const call of [signedFetch()(api.origin, given), signedFetch()(new Request(api.origin, given))]) {
      expect(await failureOf(call)).toMatchObject({
        code: 'token_given',
        message: expect.stringContaining('leave it out'),
      })
    }
    expect(api.received).toEqual([])
  })
})

describe('a token goes to whom it names', () => {
  it('a service by its name, another address by its origin', async () => {
    const directory = createServiceDirectory({ services: { inventory: `${api.origin}/stock` } })
    const send = signedFetch({ directory })
    await send(`${api.origin}/stock/decrease`)
    expect(claimsOf(-1, 'inventory-service').aud).toBe('inventory-service')
    await send(`${api.origin}/stocks`)
    expect(claimsOf().aud).toBe(api.origin)
    await send(thief.origin)
    expect(parseJwt(thief.received[0]!.token!).claims.aud).toBe(thief.origin)
  })

  it.each([301, 302, 303, 307, 308])('does not follow a %d, to another origin or the same', async (status) => {
    for (const location of [`${thief.origin}/steal`, '/elsewhere']) {
      api.answer = (_, response) => response.writeHead(status, { location }).end()
      for (const redirect of ['follow', 'error'] as const) {
        for (const init of [{ redirect }, { redirect, method: 'POST', body: '{}' }]) {
          const error = await failureOf(signedFetch()(`${api.origin}/x`, init))
          expect(error).toMatchObject({ code: 'redirected', status })
          expect(error.message).not.toContain('steal')
        }
      }
    }
    expect(await signedFetch()(`${api.origin}/x`, { redirect: 'manual' })).toMatchObject({ status })
    expect(await signedFetch()(new Request(`${api.origin}/x`, { redirect: 'manual' }))).toMatchObject({ status })
    expect(thief.received).toEqual([])
    expect(api.received.every(({ url }) => url === '/x')).toBe(true)
  })

  it('hands out no answer that a fetch that was passed in got by following', async () => {
    api.answer = ({ url }, response) => (url === '/x' ? response.writeHead(302, { location: '/y' }) : response).end('y')
    const follows: typeof fetch = (input, init) => fetch(input, { ...init, redirect: 'follow' })
    for (const redirect of ['follow', 'manual'] as const) {
      const error = await failureOf(signedFetch({ fetch: follows })(`${api.origin}/x`, { redirect }))
      expect(error).toMatchObject({ code: 'redirected' })
    }
  })

  it('leaves out what is no part of the target, whatever the fetch would make of it', async () => {
    const addresses: string[] = []
    const noting: typeof fetch = (input, init) => {
      addresses.push(input instanceof Request ? input.url : String(input))
      return fetch(input, init)
    }
    for (const path of ['/x?#y', '/x#y', '/x?']) {
      await signedFetch({ fetch: noting })(api.origin + path)
      await signedFetch({ fetch: noting })(new Request(api.origin + path))
    }
    expect(new Set(addresses)).toEqual(new Set([`${api.origin}/x`]))
  })

  it('does not sign for an address with another Host header', async () => {
    const host = new URL(thief.origin).host
    expect(await failureOf(signedFetch()(api.origin, { headers: { host } }))).toMatchObject({ code: 'invalid_target' })
    expect(api.received).toEqual([])
  })

  it.each(['data:text/plain,x', 'blob:nodedata:1', 'file:///etc/passwd', 'ftp://a.example/'])(
    'does not sign for %s',
    async (address) => {
      expect(await failureOf(signedFetch()(address))).toMatchObject({ code: 'invalid_target' })
    },
  )

  it('signs for no address with a user name, which may look like the host', async () => {
    const address = `http://${new URL(api.origin).host}@${new URL(thief.origin).host}/`
    expect(await failureOf(signedFetch()(address))).toBeInstanceOf(TypeError)
    expect([...api.received, ...thief.received]).toEqual([])
  })

  it('passes a proxy inside the tunnel only', { timeout: 30_000 }, async () => {
    let outside = ''
    const tunnel = await startTunnel((head) => {
      outside += head
    })
    const program = `
      const { createServiceSigner, createSignedFetch } = await import('@countersign/client')
      const signer = createServiceSigner({ name: 'order', secretKey: process.env.SERVICE_SECRET_KEY })
      const response = await createSignedFetch(signer)('${api.origin}/x?a=1', { method: 'POST', body: '{}' })
      console.log(await response.text())`
    const flags = ['--conditions=source', '--input-type=module', '--disable-warning=ExperimentalWarning']
    const env = {
      ...process.env,
      NODE_USE_ENV_PROXY: '1',
      HTTP_PROXY: tunnel.origin,
      NO_PROXY: '',
      SERVICE_SECRET_KEY: pem,
    }
    const child = spawn(process.execPath, [...flags, '--eval', program], { cwd: import.meta.dirname, env })
    let output = ''
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += chunk))
    await new Promise((resolve) => child.on('close', resolve))
    tunnel.close()
    expect(output).toBe('ok\n')
    expect(claimsOf().req).toMatchObject({ target: '/x?a=1' })
    expect(outside).toMatch(/^CONNECT /)
    expect(outside).not.toContain(api.received[0]!.token)
  })
})

describe('the token never shows', () => {
  it('in what the caller gave, which may be used for another call', async () => {
    const headers = new Headers({ a: 'b' })
    const init = { method: 'POST', body: '{}', headers }
    const request = new Request(api.origin, init)
    await signedFetch()(api.origin, init)
    await signedFetch()(request)
    for (const { token } of api.received) {
      for (const given of [init, headers, request]) expect(printed(given)).not.toContain(token)
    }
    expect([...headers, ...Object.keys(init)]).toEqual([['a', 'b'], 'method', 'body', 'headers'])
    await fetch(thief.origin, init)
    expect(thief.received[0]!.token).toBeUndefined()
  })

  it('in the error where nobody answers, the connection breaks, or the answer is none', async () => {
    const closed = await startReceiver()
    await closed[Symbol.asyncDispose]()
    expect(await failureOf(signedFetch()(closed.origin))).toBeInstanceOf(TypeError)
    for (const answer of [(socket: Socket) => socket.destroy(), (socket: Socket) => socket.end('nonsense\r\n\r\n')]) {
      api.answer = (_, response) => answer(response.socket!)
      const error = await failureOf(signedFetch()(api.origin))
      expect(printed(error)).not.toContain(api.received.at(-1)!.token)
    }
  })

  it.each<[string, (input: unknown, init: RequestInit | undefined) => unknown]>([
    ['the init', (_, init) => Object.assign(new Error('failed'), { init })],
    ['its headers, deep in causes', (_, init) => new Error('a', { cause: new Error('b', { cause: [init!.headers] }) })],
    ['the request', (input, init) => Object.assign(new Error('x'), { request: new Request(input as string, init) })],
    ['a sentence with it', (_, init) => new Error(`sent ${new Headers(init!.headers).get('x-m2m-token')}`)],
    ['no error but the init', (_, init) => init],
  ])('in the error where a fetch that was passed in throws %s', async (_, makeError) => {
    let token = ''
    const failing: typeof fetch = (input, init) => {
      token = new Headers(init!.headers).get('x-m2m-token')!
      throw makeError(input, init)
    }
    const error = await failureOf(signedFetch({ fetch: failing })(api.origin))
    expect(token.split('.')).toHaveLength(3)
    expect(error).toMatchObject({ code: 'unreachable' })
    expect(printed(error)).not.toContain(token)
  })

  it('in the answer, nor the key in the signer', async () => {
    const response = await signedFetch()(api.origin)
    expect(printed(response)).not.toContain(api.received[0]!.token)
    expect(printed(signer)).not.toContain(pem.split('\n')[1])
  })

  it('and other errors are what fetch throws', async () => {
    const error = new RangeError('of the caller')
    const failing = () => Promise.reject(error)
    expect(await failureOf(signedFetch({ fetch: failing })(api.origin))).toBe(error)
    const aborted = await failureOf(signedFetch()(api.origin, { signal: AbortSignal.abort() }))
    expect(aborted.name).toBe('AbortError')
    api.answer = () => {}
    expect((await failureOf(signedFetch()(api.origin, { signal: AbortSignal.timeout(50) }))).name).toBe('TimeoutError')
  })
})

describe('the md5 profile', () => {
  beforeEach(() => {
    signer = createServiceSigner({ name: 'order', secretKey: pem, profile: 'md5' })
  })

  it('signs a hash of method, path, query and JSON body', async () => {
    await signedFetch()(`${api.origin}/v1/stock?sku=1&sku=2`, { method: 'post', body: '{"n":1.0}' })
    const { token, method, url, body } = api.received[0]!
    const parsed = parseJwt(token!)
    const hashes = md5RequestHashes({ method, target: url, content: body })
    const [key] = parseJwks(signer.jwks())
    expect(checkMd5Token(parsed, key!, { hashes }, Date.now() / 1000)).toMatchObject({ sender: 'order-service' })
    expect(parsed.header.typ).not.toBe('m2m+jwt')
    expect(Number(parsed.claims.exp) - Number(parsed.claims.iat)).toBe(900)
  })

  it('signs nothing but JSON', async () => {
    const error = await failureOf(signedFetch()(api.origin, { method: 'POST', body: 'a=1' }))
    expect(error).toBeInstanceOf(ClientError)
    expect(error).toMatchObject({ code: 'body_not_signable', message: expect.stringContaining('profile m2m') })
  })
})

/** A proxy that only opens tunnels, and tells what it was asked. */
async function startTunnel(onHead: (head: string) => void) {
  const server = createServer((socket) => {
    socket.once('data', (chunk) => {
      const head = chunk.toString('latin1')
      onHead(head)
      const { hostname, port } = new URL(`http://${/^CONNECT (\S+) /.exec(head)![1]}`)
      const upstream = connect(Number(port), hostname, () => {
        socket.write('HTTP/1.1 200 OK\r\n\r\n')
        socket.pipe(upstream).pipe(socket)
      })
      for (const side of [socket, upstream]) side.on('error', () => {})
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return { origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, close: () => server.close() }
}
