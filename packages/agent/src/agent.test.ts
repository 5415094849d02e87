import { X509Certificate } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { me, testAgent, testServer } from './agent.fixture.ts'
import { fakeEntry } from './spire-server.fixture.ts'
import { fetchX509 } from './workload-client.fixture.ts'

describe('an agent that joins by a token', () => {
  it('serves a workload the SVID of the entry that it matches', async () => {
    const server = await testServer()
    server.entries = [fakeEntry('/web', [me]), fakeEntry('/other', ['unix:uid:4242'])]
    const { agent, socket } = testAgent(server)
    await agent.start()
    await agent.ready
    const { svids } = await fetchX509(socket)
    expect(svids.map(({ spiffeId }) => spiffeId)).toEqual(['spiffe://example.test/web'])
    const certificate = new X509Certificate(svids[0]?.x509Svid as Buffer)
    expect(certificate.subjectAltName).toBe('URI:spiffe://example.test/web')
    expect(agent.status()).toMatchObject({ trust_domain: 'example.test', entries: 2, cached_svids: 2, workloads: 1 })
  })
})
