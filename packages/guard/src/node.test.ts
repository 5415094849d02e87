import { createServer } from 'node:http'
import { describe, expect, it } from 'vitest'
import { describeAdapter } from './adapter-cases.fixture.ts'
import { createGuard } from './guard.ts'
import { audience, startIssuer } from './issuer.fixture.ts'
import { closing, listening } from './listening.fixture.ts'
import { type GuardedHandler, guardNode } from './node.ts'

const tell: GuardedHandler = ({ caller }, response) => {
  response.setHeader('content-type', 'application/json')
  response.end(JSON.stringify({ clientId: caller.clientId, scopes: caller.scopes }))
}

describeAdapter('node', async (guard) => {
  const routes = new Map([
    ['/who', guardNode(guard, {}, tell)],
    ['/orders', guardNode(guard, { scopes: ['read:orders'] }, tell)],
    ['/refunds', guardNode(guard, { scopes: ['read:orders', 'write:refunds'] }, tell)],
    ['/either', guardNode(guard, { anyScope: ['admin:all', 'read:orders'] }, tell)],
  ])
  const server = createServer((request, response) => routes.get(request.url!.split('?')[0]!)!(request, response))
  return { origin: await listening(server), close: () => closing(server) }
})

describe('guardNode', () => {
  it("passes the handler's own failure on instead of answering it as a refusal", async () => {
    const issuer = await startIssuer()
    const guard = createGuard({ issuer: issuer.issuer, audience })
    const guarded = guardNode(guard, {}, async () => {
      throw new Error('database password is hunter2')
    })
    const failures: unknown[] = []
    const server = createServer((request, response) => {
      guarded(request, response).catch((error: Error) => {
        failures.push(error.message)
        response.writeHead(500).end()
      })
    })
    const origin = await listening(server)
    const answer = await fetch(origin, { headers: { authorization: `Bearer ${issuer.token()}` } })
    expect([answer.status, await answer.text()]).toEqual([500, ''])
    expect(failures).toEqual(['database password is hunter2'])
    await closing(server)
    await issuer.stop()
  })
})
