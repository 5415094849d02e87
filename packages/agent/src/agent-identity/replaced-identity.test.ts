import { PermissionDeniedDetails_Reason as Reason } from '@countersign/spiffe/protocol/spire-types'
import { status } from '@grpc/grpc-js'
import { expect, it } from 'vitest'
import { me, nodeOf, testAgent, testServer, until } from '../agent.fixture.ts'
import { type FakeSpireServer, fakeEntry } from '../spire-server.fixture.ts'
import { header, openWorkloadClient } from '../workload-client.fixture.ts'

/** What a server says to an SVID of an agent that has a younger one. */
const notActive = {
  code: status.PERMISSION_DENIED,
  details: 'agent SVID is not active',
  reason: Reason.AGENT_NOT_ACTIVE,
  once: true,
}

it('that joined by a token goes on when a call of before its renewal is refused after it', async () => {
  const server = await testServer()
  server.lifetimes.agent = 6
  const { agent, logged } = testAgent(server, { syncIntervalSeconds: 0.1 })
  await agent.start()
  await agent.ready
  const answer = hold(server, 'getBundle')
  const asked = server.count('getBundle')
  await until(() => server.count('getBundle') > asked)
  const before = agent.status().expires_at as number
  await until(() => (agent.status().expires_at as number) > before)
  server.failures.set('getBundle', notActive)
  answer()
  await until(() => logged.some((line) => line.includes('is not active')))
  const synchronized = server.count('getBundle')
  await until(() => server.count('getBundle') > synchronized + 1)
  expect(logged.filter((line) => line.startsWith('error'))).toEqual([])
})

it('that is attested anew gives a JWT-SVID although the server knows its new SVID before it does', async () => {
  const server = await testServer()
  server.entries = [fakeEntry('/web', [me])]
  server.lifetimes.agent = 6
  const { agent, socket } = testAgent(server, { node: nodeOf(server) })
  await agent.start()
  await agent.ready
  server.lifetimes.agent = 3600
  const client = openWorkloadClient(socket)
  const answer = hold(server, 'getBundle')
  await until(() => server.count('attestAgent') === 2)
  server.failures.set('newJwtsvid', notActive)
  const token = new Promise((resolve, reject) => {
    client.fetchJwtsvid({ audience: ['billing'], spiffeId: '' }, header(), (error, response) =>
      error ? reject(error) : resolve(response.svids[0]?.spiffeId),
    )
  })
  await until(() => server.count('newJwtsvid') === 1)
  answer()
  expect(await token).toBe('spiffe://example.test/web')
  expect(server.count('newJwtsvid')).toBe(2)
  expect(server.count('attestAgent')).toBe(2)
  client.close()
})

function hold(server: FakeSpireServer, method: string): () => void {
  const { promise, resolve } = Promise.withResolvers<void>()
  server.held.set(method, promise)
  return () => {
    server.held.delete(method)
    resolve()
  }
}
