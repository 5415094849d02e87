import type { Server } from 'node:http'
import { createAdaptorServer } from '@hono/node-server'
import { type Context, Hono } from 'hono'
import { describe, expect, it } from 'vitest'
import { describeAdapter } from './adapter-cases.fixture.ts'
import { createGuard } from './guard.ts'
import { type GuardedVariables, guardHono } from './hono.ts'
import { audience, startIssuer } from './issuer.fixture.ts'
import { closing, listening } from './listening.fixture.ts'

const tell = (context: Context<GuardedVariables>) => {
  const { clientId, scopes } = context.get('caller')
  return context.json({ clientId, scopes })
}

describeAdapter('hono', async (guard) => {
  const app = new Hono()
  app.get('/who', guardHono(guard), tell)
  app.get('/orders', guardHono(guard, { scopes: ['read:orders'] }), tell)
  app.get('/refunds', guardHono(guard, { scopes: ['read:orders', 'write:refunds'] }), tell)
  app.get('/either', guardHono(guard, { anyScope: ['admin:all', 'read:orders'] }), tell)
  const server = createAdaptorServer({ fetch: app.fetch }) as Server
  return { origin: await listening(server), close: () => closing(server) }
})

describe('guardHono', () => {
  it('refuses two Authorization headers also where no raw headers exist, as at the edge', async () => {
    const issuer = await startIssuer()
    const app = new Hono().get('/who', guardHono(createGuard({ issuer: issuer.issuer, audience })), tell)
    const one = new Headers({ authorization: `Bearer ${issuer.token()}` })
    expect((await app.request('/who', { headers: one })).status).toBe(200)
    one.append('authorization', `Bearer ${issuer.token()}`)
    const answer = await app.request('/who', { headers: one })
    expect(answer.status).toBe(400)
    expect(await answer.json()).toMatchObject({ code: 'invalid_request' })
    await issuer.stop()
  })
})
