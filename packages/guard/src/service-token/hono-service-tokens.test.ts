import type { Server } from 'node:http'
import { createAdaptorServer } from '@hono/node-server'
import { Hono } from 'hono'
import { type GuardedVariables, guardHono } from '../hono.ts'
import { closing, listening } from '../listening.fixture.ts'
import { describeServiceTokens, tellCall } from './adapter-attacks.fixture.ts'

describeServiceTokens('hono', async (guard) => {
  const app = new Hono<GuardedVariables>()
  app.use(async (context, next) => {
    context.set('m2mPayload', { sender: 'evil-service', iss: '', iat: 0, exp: 0 })
    await next()
  })
  app.use(guardHono(guard))
  app.all('*', async (context) => {
    const content = new Uint8Array(await context.req.arrayBuffer())
    return context.json(tellCall({ caller: context.get('caller'), m2mPayload: context.get('m2mPayload') }, content))
  })
  const server = createAdaptorServer({ fetch: app.fetch }) as Server
  return { origin: await listening(server), close: () => closing(server) }
})
