import { createSecureServer } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { createTestAuthority } from '@countersign/spiffe/testing'
import { getRequestListener } from '@hono/node-server'
import express from 'express'
import fastify from 'fastify'
import { Hono } from 'hono'
import { afterEach, describe, expect, it } from 'vitest'
import { guardExpress } from '../express.ts'
import { guardFastify } from '../fastify.ts'
import { createGuard } from '../guard.ts'
import { guardHono } from '../hono.ts'
import { guardNode } from '../node.ts'
import { callTls, credentialOf, listenTls, plainCredential, type TlsServer } from './tls-calls.fixture.ts'

const example = createTestAuthority('example.org')
const guard = createGuard({
  mtls: {
    bundles: new Map([['example.org', example.bundle]]),
    allow: { spiffeIds: ['spiffe://example.org/orders'] },
  },
})

const running: { close(): unknown }[] = []
afterEach(async () => {
  for (const server of running.splice(0)) await server.close()
})

const programs: Record<string, () => Promise<TlsServer | { port: number; close(): unknown }>> = {
  async express() {
    const app = express()
    app.get('/', guardExpress(guard, { mtls: 'required' }), ({ caller }, response) => void response.json(caller))
    return listenTls(app)
  },
  async fastify() {
    const app = fastify()
    await app.register(guardFastify, { guard })
    app.get('/', { config: { mtls: 'required' } }, async ({ caller }) => caller)
    await app.ready()
    return listenTls((request, response) => app.routing(request, response))
  },
  async hono() {
    const app = new Hono()
    app.get('/', guardHono(guard, { mtls: 'required' }), (context) => context.json(context.get('caller' as never)))
    return listenTls(getRequestListener(app.fetch))
  },
  async 'node:http2'() {
    const handler = guardNode(guard, {}, ({ caller }, response) => void response.end(JSON.stringify(caller)))
    const own = plainCredential(example, { dnsNames: ['localhost'] })
    const options = { ...own, requestCert: true, rejectUnauthorized: false, allowHTTP1: true }
    const server = createSecureServer(options, (request, response) => void handler(request as never, response as never))
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
    return { port: (server.address() as AddressInfo).port, close: () => server.close() }
  },
}

describe.each(Object.keys(programs))('a guard of %s', (name) => {
  it('sees the certificate of the connection', async () => {
    const server = await programs[name]!()
    running.push(server)
    const orders = await callTls(server, credentialOf(example.x509Svid('/orders')))
    expect([orders.status, orders.json.spiffeId]).toEqual([200, 'spiffe://example.org/orders'])
    const billing = await callTls(server, credentialOf(example.x509Svid('/billing')))
    expect([billing.status, billing.json.code]).toEqual([403, 'caller_not_allowed'])
    const nobody = await callTls(server)
    expect([nobody.status, nobody.json.reason]).toEqual([401, 'missing_certificate'])
  })
})

describe('a guard over HTTP/2', () => {
  it('sees the certificate on every stream of a session', async () => {
    const { connect } = await import('node:http2')
    const server = await programs['node:http2']!()
    running.push(server)
    const session = connect(`https://127.0.0.1:${server.port}`, {
      ...credentialOf(example.x509Svid('/orders')),
      rejectUnauthorized: false,
    })
    const ask = () =>
      new Promise<number>((resolve, reject) => {
        const stream = session.request({ ':path': '/' })
        stream.on('response', (headers) => resolve(headers[':status']!)).on('error', reject)
        stream.resume().end()
      })
    expect(await Promise.all([ask(), ask(), ask()])).toEqual([200, 200, 200])
    session.close()
  })
})
