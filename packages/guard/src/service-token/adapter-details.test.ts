import { createServer, type IncomingMessage, type Server } from 'node:http'
import { connect, constants, createServer as createHttp2Server, type Http2Server } from 'node:http2'
import { type AddressInfo, connect as connectSocket } from 'node:net'
import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { gzipSync } from 'node:zlib'
import { createMemorySingleUse } from '@countersign/limits'
import { createAdaptorServer } from '@hono/node-server'
import express, { Router } from 'express'
import Fastify from 'fastify'
import { Hono } from 'hono'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { guardExpress } from '../express.ts'
import { guardFastify } from '../fastify.ts'
import { createGuard } from '../guard.ts'
import { type GuardedVariables, guardHono } from '../hono.ts'
import { audience, startIssuer, type TestIssuer } from '../issuer.fixture.ts'
import { closing, listening } from '../listening.fixture.ts'
import { guardNode } from '../node.ts'
import { tellCall } from './adapter-attacks.fixture.ts'
import { startSenders, type TestSender, type TestSenders } from './senders.fixture.ts'
import type { ServiceTokenOptions } from './service-token-options.ts'

const call = { method: 'POST', target: '/v1/stock?sku=1', content: '{"n":1}' }
let senders: TestSenders
let order: TestSender
const servers: Server[] = []
beforeAll(async () => {
  senders = await startSenders()
  order = await senders.add('order')
})
afterEach(async () => {
  for (const server of servers.splice(0)) await closing(server)
})
afterAll(() => senders.stop())

const inventory = (options: Partial<ServiceTokenOptions> = {}) =>
  createGuard({
    serviceTokens: { name: 'inventory', keys: senders.template, uses: createMemorySingleUse(), ...options },
  })

async function serve(listener: Parameters<typeof createServer>[1]): Promise<string> {
  const server = createServer(listener)
  servers.push(server)
  return listening(server)
}

const post = async (origin: string, sent: { target: string; content?: string | Uint8Array }, more: object = {}) => {
  const { target, content } = sent
  const headers = { 'x-m2m-token': order.forCall(call), 'content-type': 'application/json', ...more }
  const answer = await fetch(origin + target, { method: 'POST', headers, body: content as string })
  return { status: answer.status, body: (await answer.json()) as Record<string, unknown> }
}

describe('a body parser that comes before the guard', () => {
  it('is found out in Express, and the cure named', async () => {
    const app = express().use(express.json(), guardExpress(inventory()), (_request, response) => void response.end())
    const { status, body } = await post(await serve(app), call)
    expect(status).toBe(400)
    expect(body).toMatchObject({ code: 'body_already_read', detail: expect.stringMatching(/guard before/) })
  })

  it.each([
    ['reads', (request: IncomingMessage) => void request.on('data', () => {})],
    ['is about to read', (request: IncomingMessage) => void Readable.toWeb(request)],
    ['waits for more', (request: IncomingMessage) => void request.on('readable', () => {})],
  ])('is found out while it %s', async (_what, parser) => {
    const guarded = guardNode(inventory(), {}, (_request, response) => response.end())
    const origin = await serve((request, response) => {
      parser(request)
      void guarded(request, response)
    })
    expect((await post(origin, call)).body.code).toBe('body_already_read')
  })

  it('is found out in Hono', async () => {
    const app = new Hono<GuardedVariables>()
    app.use(async (context, next) => {
      await context.req.json()
      await next()
    })
    app.use(guardHono(inventory())).all('*', (context) => context.body(null))
    const server = createAdaptorServer({ fetch: app.fetch }) as Server
    servers.push(server)
    expect((await post(await listening(server), call)).body.code).toBe('body_already_read')
    const answer = await app.request(call.target, {
      method: 'POST',
      body: call.content,
      headers: { 'x-m2m-token': order.forCall(call) },
    })
    expect(await answer.json()).toMatchObject({ code: 'body_already_read' })
  })

  it('is found out in Fastify, where a route is guarded in a preHandler only', async () => {
    const app = Fastify()
    await app.register(guardFastify, { guard: inventory() })
    app.post('/v1/stock', { config: { anonymous: true }, preHandler: app.requireCaller() }, async () => 'ok')
    const origin = await app.listen({ host: '127.0.0.1', port: 0 })
    expect((await post(origin, call)).body.code).toBe('body_already_read')
    await app.close()
  })

  it('does no harm where there was nothing to read', async () => {
    const empty = { ...call, content: '' }
    const app = express().use(express.json(), guardExpress(inventory()), (_request, response) => void response.json({}))
    const answer = await fetch((await serve(app)) + call.target, {
      method: 'POST',
      headers: { 'x-m2m-token': order.forCall(empty), 'content-type': 'application/json', 'content-length': '0' },
    })
    expect(answer.status).toBe(200)
  })
})

describe('a payload that was put on a request before the guard', () => {
  let issuer: TestIssuer
  beforeAll(async () => {
    issuer = await startIssuer()
  })
  afterAll(() => issuer.stop())
  const evil = { sender: 'evil-service', iss: 'evil-service', iat: 0, exp: 0 }
  const guard = () => createGuard({ issuer: issuer.issuer, audience })
  const ask = async (origin: string) => {
    const headers = { authorization: `Bearer ${issuer.token()}`, 'x-m2m-payload': JSON.stringify(evil) }
    return (await fetch(origin, { headers })).json()
  }
  const tell = (request: { m2mPayload?: unknown; headers: IncomingMessage['headers'] }) => ({
    payload: request.m2mPayload ?? null,
    header: request.headers['x-m2m-payload'] ?? null,
  })
  const nothing = { payload: null, header: null }

  it('is gone behind it, in node:http', async () => {
    const guarded = guardNode(guard(), {}, (request, response) => response.end(JSON.stringify(tell(request))))
    const origin = await serve(
      (request, response) => void guarded(Object.assign(request, { m2mPayload: evil }), response),
    )
    expect(await ask(origin)).toEqual(nothing)
  })

  it('is gone behind it, in Express', async () => {
    const app = express().use((request, _response, next) => {
      request.m2mPayload = evil
      next()
    })
    app.use(guardExpress(guard()), (request, response) => void response.json(tell(request)))
    expect(await ask(await serve(app))).toEqual(nothing)
  })

  it('is gone behind it, in Fastify', async () => {
    const app = Fastify()
    app.addHook('onRequest', async (request) => {
      request.m2mPayload = evil
    })
    await app.register(guardFastify, { guard: guard() })
    app.get('/', async (request) => tell(request))
    expect(await ask(await app.listen({ host: '127.0.0.1', port: 0 }))).toEqual(nothing)
    await app.close()
  })

  it('is gone behind it, in Hono', async () => {
    const app = new Hono<GuardedVariables>().use(async (context, next) => {
      context.set('m2mPayload', evil)
      await next()
    })
    app.use(guardHono(guard())).get('/', (context) => {
      return context.json({
        payload: context.get('m2mPayload') ?? null,
        header: context.req.header('x-m2m-payload') ?? null,
      })
    })
    const server = createAdaptorServer({ fetch: app.fetch }) as Server
    servers.push(server)
    expect(await ask(await listening(server))).toEqual(nothing)
  })
})

describe('express', () => {
  it('parses and inflates behind the guard what was checked as it came', async () => {
    const content = gzipSync(call.content)
    const app = express().use(guardExpress(inventory()), express.json(), (request, response) => {
      response.json({ seen: request.body })
    })
    const token = { 'x-m2m-token': order.forCall({ ...call, content }), 'content-encoding': 'gzip' }
    const { status, body } = await post(await serve(app), { ...call, content }, token)
    expect([status, body]).toEqual([200, { seen: { n: 1 } }])
  })

  it('checks the whole path inside a mounted router', async () => {
    const router = Router().use(guardExpress(inventory()), (_request, response) => void response.json({}))
    const origin = await serve(express().use('/v1', router))
    expect((await post(origin, call)).status).toBe(200)
    expect((await post(origin, { ...call, target: '/v1/v1/stock?sku=1' })).body.reason).toBe('target')
  })
})

describe('fastify', () => {
  it('sees one call where two guards and a preHandler look at it', async () => {
    const guard = inventory()
    const other = inventory()
    const app = Fastify()
    await app.register(guardFastify, { guard })
    await app.register(async (inner) => {
      await inner.register(guardFastify, { guard: other })
      inner.post('/v1/stock', { preHandler: inner.requireCaller() }, async ({ body, m2mPayload }) => {
        return { body, sender: m2mPayload?.sender }
      })
    })
    const origin = await app.listen({ host: '127.0.0.1', port: 0 })
    const { status, body } = await post(origin, call)
    expect([status, body]).toEqual([200, { body: { n: 1 }, sender: 'order-service' }])
    await app.close()
  })

  it('checks the path that came, where the program rewrites it', async () => {
    const app = Fastify({ rewriteUrl: (request) => (request as IncomingMessage).url!.replace('/v1/', '/') })
    await app.register(guardFastify, { guard: inventory() })
    app.post('/stock', async () => ({}))
    const origin = await app.listen({ host: '127.0.0.1', port: 0 })
    expect((await post(origin, call)).status).toBe(200)
    await app.close()
  })

  it('takes no payload that was put on the request of an open route', async () => {
    const app = Fastify()
    app.addHook('onRequest', async (request) => void Object.assign(request, { m2mPayload: { sender: 'evil' } }))
    await app.register(guardFastify, { guard: inventory() })
    app.get('/open', { config: { anonymous: true } }, async ({ m2mPayload, raw }) => ({
      payload: m2mPayload ?? null,
      header: raw.headers.m2mpayload ?? null,
    }))
    const answer = await app.inject({ url: '/open', headers: { m2mPayload: '{"sender":"evil"}' } })
    expect(answer.json()).toEqual({ payload: null, header: null })
    await app.close()
  })

  it('reads what is injected as it reads a socket', async () => {
    const app = Fastify()
    await app.register(guardFastify, { guard: inventory() })
    app.post('/v1/stock', async ({ body, m2mPayload }) => ({ body, sender: m2mPayload?.sender }))
    const headers = { 'content-type': 'application/json', 'x-m2m-token': order.forCall(call) }
    const answer = await app.inject({ method: 'POST', url: call.target, headers, payload: call.content })
    expect(answer.json()).toEqual({ body: { n: 1 }, sender: 'order-service' })
    await app.close()
  })

  it('refuses to start with a route that its guard cannot check', async () => {
    const app = Fastify()
    await app.register(guardFastify, { guard: inventory() })
    expect(() => app.get('/a', { config: { serviceToken: 'ignored' } }, async () => '')).toThrow(/issuer/)
    expect(() => app.get('/b', { config: { serviceToken: 'needed' as never } }, async () => '')).toThrow(/required/)
    expect(() => app.get('/c', { config: { serviceToken: 'required', anonymous: true } }, async () => '')).toThrow(
      /anonymous/,
    )
    await app.close()
  })
})

describe('hono', () => {
  const app = () =>
    new Hono<GuardedVariables>().use(guardHono(inventory())).all('*', async (context) => {
      const seen = { sender: context.get('m2mPayload')?.sender, header: context.req.header('m2mpayload') }
      return context.json({ ...seen, body: await context.req.json() })
    })

  it('reads a Fetch request where there is nothing else, and leaves it unread', async () => {
    const program = app()
    const headers = { 'x-m2m-token': order.forCall(call), m2mPayload: '{"sender":"evil-service"}' }
    const good = await program.request(call.target, { method: 'POST', body: call.content, headers })
    expect([good.status, await good.json()]).toEqual([200, { sender: 'order-service', body: { n: 1 } }])
    const changed = await program.request(call.target, {
      method: 'POST',
      body: '{"n":2}',
      headers: { 'x-m2m-token': order.forCall(call) },
    })
    expect(await changed.json()).toMatchObject({ code: 'InvalidM2MToken', reason: 'digest' })
    const twice = new Headers({ 'x-m2m-token': order.forCall(call) })
    twice.append('x-m2m-token', order.forCall(call))
    const refused = await program.request(call.target, { method: 'POST', body: call.content, headers: twice })
    expect(await refused.json()).toMatchObject({ code: 'InvalidM2MToken', reason: 'malformed' })
  })

  it('bounds what it reads there, too', async () => {
    const small = new Hono<GuardedVariables>().use(guardHono(inventory({ maxBody: 3 }))).all('*', (c) => c.body(null))
    const headers = { 'x-m2m-token': order.forCall(call) }
    const answer = await small.request(call.target, { method: 'POST', body: call.content, headers })
    expect(answer.status).toBe(413)
  })
})

describe('node', () => {
  const echo = (guard = inventory()) =>
    guardNode(guard, {}, async (request, response) => {
      response.end(JSON.stringify(tellCall(request, await buffer(request))))
    })

  it('adds what a proxy took off the path', async () => {
    const origin = await serve(echo(inventory({ mountedAt: '/v1' })))
    expect((await post(origin, { ...call, target: '/stock?sku=1' })).status).toBe(200)
    expect((await post(origin, { ...call, target: '/v1/stock?sku=1' })).body.reason).toBe('target')
  })

  it('takes the prefix from a request only as a path', async () => {
    const prefix = (request: { headers: object }) => (request.headers as Record<string, string>)['x-forwarded-prefix']!
    const origin = await serve(echo(inventory({ mountedAt: prefix as never })))
    const sent = { ...call, target: '/stock?sku=1' }
    expect((await post(origin, sent, { 'x-forwarded-prefix': '/v1' })).status).toBe(200)
    for (const wrong of ['/v1/', 'v1', '/v1?', '/v1#', '//v1', 'http://evil.example/v1', '/v1 /x', '/x/../v1']) {
      const { body } = await post(origin, sent, { 'x-forwarded-prefix': wrong })
      expect([body.code, body.reason], wrong).toEqual(['InvalidM2MToken', 'target'])
    }
  })

  it('answers the next request of a connection after those that it refused, read or unread', async () => {
    const origin = await serve(echo())
    const socket = connectSocket(Number(new URL(origin).port), '127.0.0.1')
    const body = 'x'.repeat(200_000)
    const head = (token: string, length: number) =>
      `POST ${call.target} HTTP/1.1\r\nHost: x\r\nx-m2m-token: ${token}\r\nContent-Length: ${length}\r\n\r\n`
    socket.write(`${head('nonsense', body.length)}${body}`)
    socket.write(`${head(order.forCall(call), body.length)}${body}`)
    socket.write(`${head(order.forCall(call), call.content.length)}${call.content}`)
    let text = ''
    for await (const chunk of socket) {
      text += chunk
      if (text.includes('"clientId"')) socket.end()
    }
    expect(text.match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 401', 'HTTP/1.1 401', 'HTTP/1.1 200'])
  })

  it('forgets a request whose sender goes away in the middle of it', async () => {
    const refusals: string[] = []
    const guard = createGuard({
      serviceTokens: { name: 'inventory', keys: senders.template, uses: createMemorySingleUse() },
      onRefusal: ({ error }) => refusals.push(error.reason),
    })
    const origin = await serve(echo(guard))
    const socket = connectSocket(Number(new URL(origin).port), '127.0.0.1')
    const token = order.forCall(call)
    const half = `POST ${call.target} HTTP/1.1\r\nHost: x\r\nx-m2m-token: ${token}\r\nContent-Length: 7\r\n\r\n{"n"`
    socket.write(half, () => setTimeout(() => socket.destroy(), 50))
    await expect.poll(() => refusals).toEqual(['incomplete_content'])
    expect((await post(origin, call, { 'x-m2m-token': token })).status, 'it was not used up').toBe(200)
  })

  it('speaks HTTP/2, where the path is in a pseudo header', async () => {
    const guarded = echo()
    const server: Http2Server = createHttp2Server(
      (request, response) => void guarded(request as never, response as never),
    )
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
    const session = connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
    const ask = async (headers: Record<string, string | string[]>, content: string | undefined) => {
      const stream = session.request(
        { ':method': 'POST', ':path': call.target, ...headers },
        { endStream: content === undefined },
      )
      if (content !== undefined) stream.end(content)
      const answered = new Promise<number>((done) =>
        stream.on('response', (got) => done(Number(got[constants.HTTP2_HEADER_STATUS]))),
      )
      const body = JSON.parse(String(await buffer(stream)))
      return { status: await answered, body }
    }
    const good = await ask({ 'x-m2m-token': order.forCall(call) }, call.content)
    expect([good.status, good.body.content]).toEqual([200, Buffer.from(call.content).toString('base64')])
    const empty = { ...call, content: '' }
    for (const content of [undefined, '']) {
      const answer = await ask({ 'x-m2m-token': order.forCall(empty) }, content)
      expect([answer.status, answer.body.content]).toEqual([200, ''])
    }
    expect((await ask({ 'x-m2m-token': order.forCall(call) }, '{"n":2}')).body.reason).toBe('digest')
    const moved = await ask({ 'x-m2m-token': order.forCall(call), ':path': '/v1//stock?sku=1' }, call.content)
    expect(moved.body.reason).toBe('target')
    const several = [order.forCall(call), order.forCall(call)]
    expect((await ask({ 'x-m2m-token': several }, call.content)).body.reason).toBe('malformed')
    const long = await ask({ 'x-m2m-token': order.forCall(call) }, 'x'.repeat(1_100_000)).catch(() => ({ status: 413 }))
    expect(long.status).toBe(413)
    session.close()
    await new Promise((done) => server.close(done))
  })
})
