import { createServer } from 'node:http'
import { buffer } from 'node:stream/consumers'
import { closing, listening } from '../listening.fixture.ts'
import { guardNode } from '../node.ts'
import { describeServiceTokens, tellCall } from './adapter-attacks.fixture.ts'

describeServiceTokens('node', async (guard) => {
  const listener = guardNode(guard, {}, async (request, response) => {
    response.setHeader('content-type', 'application/json')
    response.end(JSON.stringify(tellCall(request, await buffer(request))))
  })
  const server = createServer((request, response) => {
    Object.assign(request, { m2mPayload: { sender: 'evil-service' } })
    void listener(request, response)
  })
  return { origin: await listening(server), close: () => closing(server) }
})
