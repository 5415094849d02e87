import { createServer } from 'node:http'
import express from 'express'
import { guardExpress } from '../express.ts'
import { closing, listening } from '../listening.fixture.ts'
import { describeServiceTokens, tellCall } from './adapter-attacks.fixture.ts'

describeServiceTokens('express', async (guard) => {
  const app = express()
  app.use((request, _response, next) => {
    Object.assign(request, { m2mPayload: { sender: 'evil-service' } })
    next()
  })
  app.use(guardExpress(guard), express.raw({ type: () => true, limit: '2mb' }), (request, response) => {
    response.json(tellCall(request, Buffer.isBuffer(request.body) ? request.body : undefined))
  })
  const server = createServer(app)
  return { origin: await listening(server), close: () => closing(server) }
})
