import { X509Certificate } from 'node:crypto'
import { readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { PermissionDeniedDetails_Reason as Reason } from '@countersign/spiffe/protocol/spire-types'
import { createTestAuthority } from '@countersign/spiffe/testing'
import { status } from '@grpc/grpc-js'
import { describe, expect, it } from 'vitest'
import { me, testAgent, testFolder, testServer, until } from './agent.fixture.ts'
import { fakeEntry } from './spire-server.fixture.ts'
import { fetchX509, header, Messages, openWorkloadClient } from './workload-client.fixture.ts'

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

  it('says that a token is used up, and leaves no socket behind', async () => {
    const server = await testServer()
    const { agent, folder } = testAgent(server, { node: { joinToken: 'used-before' } })
    await expect(agent.start()).rejects.toMatchObject({ code: 'attestation_refused' })
    expect(readdirSync(folder)).toEqual(['bundle.pem'])
  })

  it('spends no token when its socket cannot be had', async () => {
    const server = await testServer()
    const folder = testFolder()
    writeFileSync(join(folder, 'agent.sock'), 'somebody else')
    const { agent } = testAgent(server, { socket: join(folder, 'agent.sock') })
    await expect(agent.start()).rejects.toMatchObject({ code: 'invalid_configuration' })
    expect(server.joinTokens.size).toBe(1)
    expect(server.count('attestAgent')).toBe(0)
  })

  it('waits for a server that is not there yet', async () => {
    const server = await testServer()
    const { agent } = testAgent(server)
    await server.stop()
    const started = agent.start()
    await new Promise((resolve) => setTimeout(resolve, 300))
    await server.start()
    await started
    await agent.ready
    expect(agent.status().spiffe_id).toMatch(/^spiffe:\/\/example\.test\/spire\/agent\/join_token\//)
  })

  it('asks for the bundle again, not for another attestation, when the bundle was not to be had', async () => {
    const server = await testServer()
    server.failures.set('getBundle', { code: status.UNAVAILABLE, details: 'not now' })
    const { agent } = testAgent(server)
    const started = agent.start()
    await until(() => server.count('getBundle') === 1)
    server.failures.clear()
    await started
    expect(server.count('attestAgent')).toBe(1)
  })

  it('renews its own SVID with a new key at half its life, and calls with the new one', async () => {
    const server = await testServer()
    server.lifetimes.agent = 4
    const { agent } = testAgent(server, { syncIntervalSeconds: 0.2 })
    await agent.start()
    const first = agent.status().expires_at as number
    await until(() => server.count('renewAgent') >= 2)
    expect(agent.status().expires_at).toBeGreaterThan(first)
    expect(server.count('attestAgent')).toBe(1)
  })
})

describe('what an agent takes for its server', () => {
  it('is not one with a certificate of another authority', async () => {
    const server = await testServer()
    const { agent, folder, logged } = testAgent(server)
    const other = createTestAuthority('example.test')
    writeFileSync(
      join(folder, 'bundle.pem'),
      other.bundle.x509Authorities.map(({ der }) => new X509Certificate(der).toString()).join(''),
    )
    void agent.start()
    await until(() => logged.some((line) => line.includes('could not attest itself')))
    expect(server.count('attestAgent')).toBe(0)
    expect(server.joinTokens.size).toBe(1)
  })

  it('is not a workload of the same trust domain', async () => {
    const server = await testServer({ serverPath: '/web' })
    const { agent, logged } = testAgent(server)
    void agent.start()
    await until(() => logged.some((line) => line.includes('could not attest itself')))
    expect(server.count('attestAgent')).toBe(0)
  })

  it('is at the first connection, where that is asked for, whoever shows the ID of a server', async () => {
    const server = await testServer()
    const { agent } = testAgent(server, { bootstrap: { insecure: true } })
    await agent.start()
    await agent.ready
    const stranger = await testServer({ serverPath: '/web' })
    const other = testAgent(stranger, { bootstrap: { insecure: true } })
    void other.agent.start()
    await until(() => other.logged.some((line) => line.includes('shows spiffe://example.test/web, not')))
    expect(stranger.count('attestAgent')).toBe(0)
  })
})

describe('an agent that was away until no authority that it knows vouches for the server', () => {
  it('tells what lets it in again: the new bundle, and an empty data directory', async () => {
    const [before, after] = [await testServer(), await testServer()]
    const dataDirectory = join(testFolder(), 'data')
    const first = testAgent(before, { dataDirectory })
    await first.agent.start()
    await first.agent.ready
    await first.agent.stop()

    // With the new bundle, but what it stored counts before that.
    const away = testAgent(after, { dataDirectory })
    await away.agent.start()
    const cure = /no authority of the bundle vouches for the server .* with it and an empty data directory/
    await until(() => away.logged.some((line) => line.startsWith('warn') && cure.test(line)))
    await away.agent.stop()

    rmSync(dataDirectory, { recursive: true })
    const back = testAgent(after, { dataDirectory })
    await back.agent.start()
    await back.agent.ready
  })
})

describe('an agent that the server removes', () => {
  it('stops when it is banned, with its sockets and its stored identity', async () => {
    const server = await testServer()
    const dataDirectory = testFolder()
    const { agent, folder } = testAgent(server, { dataDirectory, syncIntervalSeconds: 0.1 })
    await agent.start()
    await agent.ready
    server.failures.set('syncAuthorizedEntries', {
      code: status.PERMISSION_DENIED,
      details: 'banned',
      reason: Reason.AGENT_BANNED,
    })
    expect(await agent.removed).toMatchObject({ code: 'node_removed' })
    expect(readdirSync(folder)).toEqual(['bundle.pem'])
    expect(readdirSync(dataDirectory)).toEqual([])
  })

  it('stops when it was evicted and a token was all it had', async () => {
    const server = await testServer()
    const { agent } = testAgent(server, { syncIntervalSeconds: 0.1 })
    await agent.start()
    await agent.ready
    server.failures.set('syncAuthorizedEntries', {
      code: status.PERMISSION_DENIED,
      details: 'gone',
      reason: Reason.AGENT_NOT_ATTESTED,
    })
    expect((await agent.removed).message).toContain('new join token')
  })

  it('goes on with what it has when the server refuses without saying why', async () => {
    const server = await testServer()
    server.entries = [fakeEntry('/web', [me])]
    const { agent, socket } = testAgent(server, { syncIntervalSeconds: 0.1 })
    await agent.start()
    await agent.ready
    await fetchX509(socket)
    server.failures.set('syncAuthorizedEntries', { code: status.PERMISSION_DENIED, details: 'no' })
    const before = server.count('syncAuthorizedEntries')
    await until(() => server.count('syncAuthorizedEntries') > before + 1)
    expect((await fetchX509(socket)).svids).toHaveLength(1)
  })
})

describe('a data directory', () => {
  it('lets a restarted agent go on without another token', async () => {
    const server = await testServer()
    const dataDirectory = testFolder()
    const first = testAgent(server, { dataDirectory })
    await first.agent.start()
    const id = first.agent.status().spiffe_id
    await first.agent.stop()
    const second = testAgent(server, { dataDirectory, node: { joinTokenFile: '/removed/since' } })
    await second.agent.start()
    await second.agent.ready
    expect(second.agent.status().spiffe_id).toBe(id)
    expect(server.count('attestAgent')).toBe(1)
    const [file = ''] = readdirSync(dataDirectory)
    expect(statSync(join(dataDirectory, file)).mode & 0o777).toBe(0o600)
  })

  it('holds the bundle that is good now, so that a rotated server is known after a restart', async () => {
    const server = await testServer()
    const dataDirectory = testFolder()
    const first = testAgent(server, { dataDirectory, syncIntervalSeconds: 0.1 })
    await first.agent.start()
    await first.agent.ready
    server.authority.rotate()
    const before = server.count('getBundle')
    await until(() => server.count('getBundle') > before + 1)
    await first.agent.stop()
    await server.stop()
    await server.start()
    const second = testAgent(server, { dataDirectory })
    await second.agent.start()
    await second.agent.ready
    expect(server.count('attestAgent')).toBe(1)
  })

  it('is refused when others may write in it', async () => {
    const server = await testServer()
    const dataDirectory = testFolder()
    const { chmodSync } = await import('node:fs')
    chmodSync(dataDirectory, 0o777)
    expect(() => testAgent(server, { dataDirectory })).toThrow(/others may write/)
    chmodSync(dataDirectory, 0o1777)
    expect(() => testAgent(server, { dataDirectory })).toThrow(/a data directory of its own there/)
  })
})

describe('many entries', () => {
  it('are synchronized by revision: what did not change is not sent again', async () => {
    const server = await testServer()
    server.pageSize = 50
    server.entries = Array.from({ length: 120 }, (_, index) => fakeEntry(`/w/${index}`, ['unix:uid:4242']))
    const { agent } = testAgent(server, { syncIntervalSeconds: 0.1, prefetch: 0 })
    await agent.start()
    await agent.ready
    expect(agent.status().entries).toBe(120)
    expect(pages(server.batches)).toEqual([50, 50, 20])
    server.entries = server.entries
      .slice(1)
      .map((entry, index) => (index < 2 ? { ...entry, revisionNumber: 1 } : entry))
    await until(() => pages(server.batches).length === 4)
    await until(() => agent.status().entries === 119)
    expect(pages(server.batches)).toEqual([50, 50, 20, 2])
    const before = server.count('syncAuthorizedEntries')
    await until(() => server.count('syncAuthorizedEntries') > before + 1)
    expect(pages(server.batches)).toHaveLength(4)
  })

  it('have SVIDs ready up to the limit, and more when a workload asks', async () => {
    const server = await testServer()
    server.entries = [
      ...Array.from({ length: 30 }, (_, index) => fakeEntry(`/a/${index}`, ['unix:uid:4242'])),
      fakeEntry('/z', [me]),
    ]
    const { agent, socket } = testAgent(server, { prefetch: 10 })
    await agent.start()
    await until(() => agent.status().cached_svids === 10)
    expect((await fetchX509(socket)).svids).toHaveLength(1)
    expect(agent.status().cached_svids).toBe(11)
  })
})

describe('rotation', () => {
  it('sends a new SVID with a new key on the open stream before the old one ends', async () => {
    const server = await testServer()
    server.entries = [fakeEntry('/web', [me])]
    server.lifetimes.x509 = 8
    const { agent, socket } = testAgent(server)
    await agent.start()
    const client = openWorkloadClient(socket)
    const messages = new Messages(client.fetchX509Svid({}, header()))
    let last = (await messages.next()).svids[0]
    for (let round = 0; round < 2; round++) {
      const next = (await messages.next()).svids[0]
      const [before, after] = [last, next].map((svid) => new X509Certificate(svid?.x509Svid as Buffer))
      expect(Date.now()).toBeLessThan(before?.validToDate.getTime() as number)
      expect(after?.serialNumber).not.toBe(before?.serialNumber)
      expect(next?.x509SvidKey).not.toEqual(last?.x509SvidKey)
      last = next
    }
    client.close()
  })

  it('follows a new authority at once, for workloads and for the server itself', async () => {
    const server = await testServer()
    server.entries = [fakeEntry('/web', [me])]
    const { agent, socket } = testAgent(server, { syncIntervalSeconds: 0.1 })
    await agent.start()
    const client = openWorkloadClient(socket)
    const messages = new Messages(client.fetchX509Svid({}, header()))
    const first = (await messages.next()).svids[0]
    server.authority.rotate()
    const second = (await messages.next()).svids[0]
    expect(second?.bundle.length).toBeGreaterThan(first?.bundle.length as number)
    expect(second?.x509Svid).toEqual(first?.x509Svid)
    await server.stop()
    await server.start()
    const before = server.count('syncAuthorizedEntries')
    await until(() => server.count('syncAuthorizedEntries') > before)
    client.close()
  })

  it('replaces SVIDs of a tainted authority at once', async () => {
    const server = await testServer()
    server.entries = [fakeEntry('/web', [me])]
    const { agent, socket } = testAgent(server, { syncIntervalSeconds: 0.1 })
    await agent.start()
    const first = (await fetchX509(socket)).svids[0]
    server.authority.rotate()
    server.taintFirstAuthority = true
    const client = openWorkloadClient(socket)
    const messages = new Messages(client.fetchX509Svid({}, header()))
    let next = (await messages.next()).svids[0]
    while (next?.x509Svid.equals(first?.x509Svid as Buffer)) next = (await messages.next()).svids[0]
    const issuer = new X509Certificate(server.authority.issuer.certificate.der)
    expect(new X509Certificate(next?.x509Svid as Buffer).verify(issuer.publicKey)).toBe(true)
    client.close()
  })

  it('asks for a new SVID when the entry changed, and never serves the old identity again', async () => {
    const server = await testServer()
    server.entries = [fakeEntry('/web', [me], { id: 'one' })]
    const { agent, socket } = testAgent(server, { syncIntervalSeconds: 0.1 })
    await agent.start()
    expect((await fetchX509(socket)).svids[0]?.spiffeId).toBe('spiffe://example.test/web')
    server.entries = [fakeEntry('/renamed', [me], { id: 'one', revisionNumber: 1 })]
    const before = server.count('syncAuthorizedEntries')
    await until(() => server.count('syncAuthorizedEntries') > before + 1)
    expect((await fetchX509(socket)).svids[0]?.spiffeId).toBe('spiffe://example.test/renamed')
  })

  it('does not wake workloads because the bundle has another number', async () => {
    const server = await testServer()
    server.entries = [fakeEntry('/web', [me])]
    const { agent, socket } = testAgent(server, { syncIntervalSeconds: 0.05 })
    await agent.start()
    const client = openWorkloadClient(socket)
    const messages = new Messages(client.fetchX509Svid({}, header()))
    await messages.next()
    const before = server.count('getBundle')
    await until(() => server.count('getBundle') > before + 5)
    expect(messages.waiting).toBe(0)
    client.close()
  })
})

function pages(batches: readonly number[]): number[] {
  return batches.filter((count) => count < 0).map((count) => -count)
}
