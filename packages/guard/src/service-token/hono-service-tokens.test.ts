import type { Server } from 'node:http'
import { createAdaptorServer } from '@hono/node-server'
import { createAdaptorServer as createAdaptorServer1 } from '@hono/node-server-1'
import { Hono } from 'hono'
import { describe } from 'vitest'
import { type GuardedVariables, guardHono } from '../hono.ts'
import { closing, listening } from '../listening.fixture.ts'
import { describeServiceTokens, tellCall } from './adapter-attacks.fixture.ts'

describe.each([
  { version: 2, createServer: createAdaptorServer },
  { version: 1, createServer: createAdaptorServer1 },
])('@hono/node-server $version', ({ createServer }) => {
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
    const server = createServer({ fetch: app.fetch }) as Server
    return { origin: await listening(server), close: () => closing(server) }
  })
})
