import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { gzipSync } from 'node:zlib'
import { createServiceDirectory, createServiceSigner, createSignedFetch, type ServiceSigner } from '@countersign/client'
import { createGuard, type SenderKeys } from '@countersign/guard'
import { guardNode } from '@countersign/guard/node'
import { createMemorySingleUse } from '@countersign/limits'
import { generateSigningKey, parseJwks, selectKey } from '@countersign/tokens'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

/** What client signs and guard verifies, on a real socket between them: here only can both be imported. */

const pem = (await generateSigningKey('EdDSA')).privateKey.export({ type: 'pkcs8', format: 'pem' }) as string
const server = createServer()
let origin: string
let signers: Record<'m2m' | 'md5', ServiceSigner>

beforeAll(async () => {
  signers = {
    m2m: createServiceSigner({ name: 'order', secretKey: pem }),
    md5: createServiceSigner({ name: 'order', secretKey: pem, profile: 'md5' }),
  }
  const keys: SenderKeys = {
    keyFor: (name, header) => (name === 'order' ? selectKey(parseJwks(signers.m2m.jwks()), header) : undefined),
  }
  const guard = createGuard({ serviceTokens: { name: 'inventory', keys, uses: createMemorySingleUse(), md5: true } })
  const handle = guardNode(guard, {}, async (request, response) => {
    const parts: Buffer[] = []
    for await (const part of request) parts.push(part)
    const { caller, method, url } = request
    const body = Buffer.concat(parts).toString('base64')
    response.end(JSON.stringify({ sender: caller.clientId, tenant: caller.tenant, method, url, body }))
  })
  server.on('request', (request, response) => void handle(request, response))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
})
afterAll(() => {
  server.closeAllConnections()
  server.close()
})

async function call(path: string, init?: RequestInit, { profile = 'm2m' as 'm2m' | 'md5', tenant = 'shop' } = {}) {
  const directory = createServiceDirectory({ services: { inventory: origin } })
  const response = await createSignedFetch(signers[profile], { directory, tenant })(origin + path, init)
  return { status: response.status, answer: JSON.parse(await response.text()) }
}

const form = new FormData()
form.set('a', new Blob([new Uint8Array([0, 13, 10, 255])]), 'a.bin')

describe('what the client signs the guard takes', () => {
  it.each([
    '',
    '/',
    '/?',
    '//',
    '//a//b',
    '/a;b=c',
    '/%2e%2e%2fa',
    '/a%2Fb',
    '/é/日本',
    '/a?b=2&a=1&b=1',
    '/a?b=+%20',
    '/%zz',
  ])('at the path %j', async (path) => {
    expect(await call(path)).toMatchObject({ status: 200, answer: { sender: 'order-service', tenant: 'shop' } })
  })

  it.each<[string, RequestInit['body'], Record<string, string>?]>([
    ['JSON', '{"a": 1.0}\r\n'],
    ['no text', ''],
    ['bytes', new Uint8Array([0, 255])],
    ['an address-style form', new URLSearchParams({ a: 'b c' })],
    ['a form', form],
    ['zipped JSON', gzipSync('{"a":1}'), { 'content-encoding': 'gzip' }],
    ['a megabyte', Buffer.alloc(1_048_576, 'x')],
  ])('with %s, which the handler then gets', async (_, body, headers) => {
    const { status, answer } = await call('/x', { method: 'POST', body, headers })
    expect({ status, sender: answer.sender }).toEqual({ status: 200, sender: 'order-service' })
    if (typeof body === 'string' || body instanceof Uint8Array) {
      expect(answer.body).toBe(Buffer.from(body as string).toString('base64'))
    }
  })

  it.each(['get', 'POST', 'put', 'PATCH', 'DELETE', 'OPTIONS', 'query'])('with the method %s', async (method) => {
    expect(await call('/x', { method })).toMatchObject({ status: 200, answer: { method: method.toUpperCase() } })
  })

  it.each<[string, RequestInit?]>([
    ['/a', undefined],
    ['/a?b=c&d=e+f&b=g', undefined],
    ['/a?ü=é', { method: 'POST', body: '{"a":{"b":[1,2.50,"\\u00fc"]}}' }],
    ['//a', { method: 'POST', body: '' }],
    ['/a', { method: 'PUT', body: 'null' }],
    ['/a', { method: 'DELETE', body: '[]' }],
  ])('in the md5 profile: %s %o', async (path, init) => {
    expect(await call(path, init, { profile: 'md5' })).toMatchObject({
      status: 200,
      answer: { sender: 'order-service' },
    })
  })
})
