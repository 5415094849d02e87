import Fastify, { type FastifyInstance, type FastifyRequest } from 'fastify'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { describeAdapter } from './adapter-cases.fixture.ts'
import { guardFastify } from './fastify.ts'
import { createGuard, type Guard } from './guard.ts'
import { audience, startIssuer, type TestIssuer } from './issuer.fixture.ts'

const tell = async ({ caller }: FastifyRequest) => ({ clientId: caller.clientId, scopes: caller.scopes })

describeAdapter('fastify', async (guard) => {
  const app = Fastify()
  await app.register(guardFastify, { guard })
  app.get('/who', tell)
  app.get('/orders', { config: { scopes: ['read:orders'] } }, tell)
  app.get('/refunds', { preHandler: app.requireCaller({ scopes: ['read:orders', 'write:refunds'] }) }, tell)
  app.get('/either', { config: { anyScope: ['admin:all', 'read:orders'] } }, tell)
  return { origin: await app.listen({ host: '127.0.0.1', port: 0 }), close: () => app.close() }
})

describe('guardFastify', () => {
  let issuer: TestIssuer
  let guard: Guard
  let app: FastifyInstance
  beforeAll(async () => {
    issuer = await startIssuer()
    guard = createGuard({ issuer: issuer.issuer, audience })
  })
  afterAll(() => issuer.stop())

  const status = async (path: string, token?: string) => {
    const headers = token === undefined ? {} : { authorization: `Bearer ${token}` }
    return (await app.inject({ url: path, headers })).statusCode
  }

  it('guards what it is registered on and everything within, and nothing outside', async () => {
    app = Fastify()
    app.get('/health', async () => 'ok')
    await app.register(async (inner) => {
      inner.get('/early', async () => 'early')
      await inner.register(guardFastify, { guard })
      inner.get('/late', async () => 'late')
      await inner.register(async (innermost) => void innermost.get('/deep', async () => 'deep'))
    })
    await app.register(async (sibling) => void sibling.get('/sibling', async () => 'sibling'))
    for (const path of ['/health', '/sibling']) expect(await status(path), path).toBe(200)
    for (const path of ['/early', '/late', '/deep']) expect(await status(path), path).toBe(401)
    for (const path of ['/early', '/late', '/deep']) expect(await status(path, issuer.token()), path).toBe(200)
  })

  it('keeps two guards of one program apart', async () => {
    const other = createGuard({ issuer: issuer.issuer, audience: 'https://admin.example' })
    app = Fastify()
    for (const [prefix, each] of [
      ['/orders', guard],
      ['/admin', other],
    ] as const) {
      await app.register(
        async (inner) => {
          await inner.register(guardFastify, { guard: each })
          inner.get('/', tell)
        },
        { prefix },
      )
    }
    expect(await status('/orders', issuer.token())).toBe(200)
    expect(await status('/admin', issuer.token())).toBe(401)
    expect(await status('/admin', issuer.token({ aud: 'https://admin.example' }))).toBe(200)
  })

  it('asks for both where a guarded part lies within a guarded whole', async () => {
    const other = createGuard({ issuer: issuer.issuer, audience: 'https://admin.example' })
    app = Fastify()
    await app.register(guardFastify, { guard })
    await app.register(async (inner) => {
      await inner.register(guardFastify, { guard: other })
      inner.get('/both', tell)
      inner.get('/nested', { preHandler: inner.requireCaller({ scopes: ['read:orders'] }) }, tell)
    })
    expect(await status('/both', issuer.token())).toBe(401)
    expect(await status('/both', issuer.token({ aud: [audience, 'https://admin.example'] }))).toBe(200)
    expect(await status('/nested', issuer.token({ aud: [audience, 'https://admin.example'] }))).toBe(200)
  })

  it('does not tell strangers which paths exist', async () => {
    app = Fastify()
    await app.register(guardFastify, { guard })
    expect(await status('/nothing-here')).toBe(401)
    expect(await status('/nothing-here', issuer.token())).toBe(404)
  })

  it('leaves a route open only where it says so', async () => {
    app = Fastify()
    await app.register(guardFastify, { guard })
    app.get('/health', { config: { anonymous: true } }, async ({ caller }) => ({ caller }))
    expect((await app.inject('/health')).json()).toEqual({ caller: null })
  })

  it('answers problem+json whatever the schema or the error handler of the route', async () => {
    app = Fastify()
    app.setErrorHandler((_error, _request, reply) => reply.code(418).send('teapot'))
    await app.register(guardFastify, { guard })
    const schema = { response: { 401: { type: 'object', properties: { nothing: { type: 'string' } } } } }
    app.get('/who', { schema }, tell)
    const answer = await app.inject('/who')
    expect(answer.statusCode).toBe(401)
    expect(answer.headers['content-type']).toBe('application/problem+json')
    expect(answer.json()).toMatchObject({ code: 'missing_credential' })
  })

  it('refuses to start with a route whose requirement is misspelt', async () => {
    app = Fastify()
    await app.register(guardFastify, { guard })
    expect(() => app.get('/a', { config: { scope: ['read:orders'] } as never }, tell)).toThrow(/scopes/)
    expect(() => app.get('/b', { config: { scopes: ['two words'] } }, tell)).toThrow(/scopes/)
    expect(() => app.get('/c', { config: { scopes: ['a'], anonymous: true } }, tell)).toThrow(/anonymous/)
    expect(() => app.requireCaller({ scope: 'a' } as never)).toThrow(/not "scope"/)
  })
})
