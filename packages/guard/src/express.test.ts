import { createServer } from 'node:http'
import express, { Router } from 'express'
import { describe, expect, it } from 'vitest'
import { describeAdapter } from './adapter-cases.fixture.ts'
import { guardExpress } from './express.ts'
import { createGuard } from './guard.ts'
import { GuardConfigurationError } from './guard-error.ts'
import { audience, startIssuer } from './issuer.fixture.ts'
import { closing, listening } from './listening.fixture.ts'
import { rawRequest } from './raw-http.fixture.ts'

const tell: express.RequestHandler = (request, response) => {
  response.json({ clientId: request.caller.clientId, scopes: request.caller.scopes })
}

describeAdapter('express', async (guard) => {
  const app = express()
  app.get('/who', guardExpress(guard), tell)
  app.get('/orders', guardExpress(guard, { scopes: ['read:orders'] }), tell)
  app.get('/refunds', guardExpress(guard, { scopes: ['read:orders', 'write:refunds'] }), tell)
  app.get('/either', guardExpress(guard, { anyScope: ['admin:all', 'read:orders'] }), tell)
  const server = createServer(app)
  return { origin: await listening(server), close: () => closing(server) }
})

describe('guardExpress', () => {
  it('sees a token in the URL of a mounted router, and keeps bodies of the refused unread', async () => {
    const issuer = await startIssuer()
    const guard = createGuard({ issuer: issuer.issuer, audience })
    const app = express()
    const router = Router()
    router.use(guardExpress(guard), express.json())
    router.post('/orders', tell)
    app.use('/v1', router)
    const server = createServer(app)
    const origin = await listening(server)
    const authorization = `Authorization: Bearer ${issuer.token()}`
    expect((await rawRequest(origin, '/v1/orders', [authorization, 'Content-Length: 0'], 'POST')).status).toBe(200)
    expect((await rawRequest(origin, '/v1/orders?access_token=x', [authorization], 'POST')).status).toBe(400)
    expect((await rawRequest(origin, '/v1/orders', ['Content-Length: 1000000'], 'POST')).status).toBe(401)
    await closing(server)
    await issuer.stop()
  })

  it('refuses a bad requirement when the program starts', () => {
    const guard = createGuard({ issuer: 'https://auth.example/', audience })
    expect(() => guardExpress(guard, { scope: ['read:orders'] } as never)).toThrow(GuardConfigurationError)
    expect(() => guardExpress(guard, { scopes: 'read:orders' } as never)).toThrow(GuardConfigurationError)
    expect(() => guardExpress(guard, { scopes: ['a"b'] })).toThrow(GuardConfigurationError)
    expect(() => guardExpress(guard, { anyScope: [] })).toThrow(GuardConfigurationError)
  })
})
