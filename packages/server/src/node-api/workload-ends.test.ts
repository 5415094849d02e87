import { createGuard, createRevocationFeed } from '@countersign/guard'
import { parseCertificate, parseJwtSvidUnverified } from '@countersign/spiffe'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { describeStores, type FreshDatabase, freshDatabase } from '../storage/stores.fixture.ts'
import {
  agentId,
  ask,
  attestByToken,
  newKey,
  refusal,
  startTestNodeServer,
  type TestAgent,
  type TestIdentity,
  type TestNodeServer,
} from './node-api.fixture.ts'

describeStores('the end of a workload', (kind) => {
  let fresh: FreshDatabase
  let server: TestNodeServer
  let identity: TestIdentity
  let client: TestAgent
  beforeAll(async () => {
    fresh = await freshDatabase(kind)
    server = await startTestNodeServer({ databaseUrl: fresh.url })
    identity = await attestByToken(server)
    client = server.connect(identity, { countersign: true })
  })
  afterAll(async () => {
    await server?.close()
    await fresh?.drop()
  })

  async function issue(agent: TestAgent, entryId: string) {
    const { results } = await ask(agent.svid.batchNewX509Svid, agent.svid, { params: [{ entryId, csr: newKey().csr }] })
    const { svid: token } = await ask(agent.svid.newJwtsvid, agent.svid, { entryId, audience: ['a'] })
    return {
      serial: parseCertificate(results[0]?.svid?.certChain[0] as Buffer).serialNumber,
      jti: parseJwtSvidUnverified(token?.token as string).claims.jti as string,
    }
  }

  const report = (agent: TestAgent, entryId: string, x509SerialNumbers: string[], jwtIds: string[] = []) =>
    ask(agent.workloads.reportEnded, agent.workloads, { entryId, x509SerialNumbers, jwtIds, reason: 'pid 7 has ended' })

  it('puts what an ended workload held on the revocation feed, on which guards hear of it', async () => {
    const { authority } = server.server
    const entry = await server.entry({ parentId: agentId(identity), spiffeId: 'spiffe://example.org/ending' })
    const { serial, jti } = await issue(client, entry.id)
    const reader = await server.server.addClient('svc-reader')
    await authority.store.database.updateTable('apis').set({ introspectors: '["svc-reader"]' }).execute()
    const secret = Buffer.from(`${reader.id}:${reader.secret}`).toString('base64')
    const source = createRevocationFeed({
      url: `${server.server.url}/oauth/revocations`,
      authorization: () => `Basic ${secret}`,
    })
    const guard = createGuard({
      issuer: server.server.issuer,
      audience: 'https://orders.example.com',
      revocations: source,
    })
    expect(await source.isCurrent?.()).toBe(true)
    expect(source.isRevokedSerial?.(serial)).toBe(false)

    expect(await report(client, entry.id, [serial, serial], [jti])).toEqual({ revoked: 2 })
    expect(authority.revocations.isRevokedSerial(serial)).toBe(true)
    expect(authority.revocations.isRevokedJwtSvid({ jti })).toBe(true)
    await expect.poll(() => source.isRevokedSerial?.(serial), { timeout: 10_000 }).toBe(true)
    await expect.poll(() => source.isRevokedJwtSvid?.({ jti }), { timeout: 10_000 }).toBe(true)
    await guard.close()
    expect(await server.events('svid.revoked')).toMatchObject([
      {
        outcome: 'success',
        target: `entry/${entry.id}`,
        reason: 'pid 7 has ended',
        detail: { agent_id: agentId(identity), spiffe_id: entry.spiffeId, serial_numbers: [serial], jwt_ids: [jti] },
      },
    ])
    // Once more, as after an answer that was lost: it stays revoked, and nothing fails.
    expect(await report(client, entry.id, [serial], [jti])).toEqual({ revoked: 2 })
  })

  it('ends nothing that was issued to another agent, for another entry, or by nobody (56)', async () => {
    const other = await attestByToken(server)
    const another = server.connect(other, { countersign: true })
    const [mine, theirs] = [
      await server.entry({ parentId: agentId(identity), spiffeId: 'spiffe://example.org/mine' }),
      await server.entry({ parentId: agentId(other), spiffeId: 'spiffe://example.org/theirs' }),
    ]
    const victim = await issue(another, theirs.id)
    const own = await issue(client, mine.id)
    const nobodys = ['', '00', 'ff'.repeat(20), 'zz', victim.serial.toUpperCase(), `${victim.serial}00`]
    expect(await report(client, theirs.id, [victim.serial, ...nobodys], [victim.jti])).toEqual({ revoked: 0 })
    expect(await report(client, mine.id, [victim.serial, ...nobodys], [victim.jti, '', 'x'])).toEqual({ revoked: 0 })
    expect(await report(client, theirs.id, [own.serial], [own.jti])).toEqual({ revoked: 0 })
    const { revocations } = server.server.authority
    expect(revocations.isRevokedSerial(victim.serial)).toBe(false)
    expect(revocations.isRevokedSerial(own.serial)).toBe(false)
  })

  it('ends what was issued for an entry that is gone since', async () => {
    const { authority } = server.server
    const entry = await server.entry({ parentId: agentId(identity), spiffeId: 'spiffe://example.org/gone' })
    const { serial } = await issue(client, entry.id)
    const { deleteEntry } = await import('../registration-entries/manage-entries.ts')
    await deleteEntry(entry.id, authority, {})
    expect(await report(client, entry.id, [serial])).toEqual({ revoked: 1 })
    expect(authority.revocations.isRevokedSerial(serial)).toBe(true)
  })

  it('tells the operator of workloads that failed a policy', async () => {
    const workload = {
      entryId: 'entry-1',
      spiffeId: 'spiffe://example.org/billing',
      pid: 4711,
      uid: 0,
      selectors: ['unix:uid:0', 'unix:path:/usr/bin/billing'],
      failures: ['it runs as root'],
    }
    await ask(client.workloads.reportRefused, client.workloads, { workloads: [workload] })
    expect((await server.events('svid.refused')).at(-1)).toMatchObject({
      outcome: 'failure',
      target: 'entry/entry-1',
      reason: 'it runs as root',
      detail: { agent_id: agentId(identity), pid: 4711, uid: 0, selectors: workload.selectors },
    })
  })

  it('hears none of it from strangers, and no more than it can take', async () => {
    const stranger = server.connect()
    expect(await refusal(report(stranger, 'x', ['07']))).toMatchObject({ code: 'UNAUTHENTICATED' })
    stranger.close()
    expect(
      await refusal(
        report(
          client,
          'x',
          Array.from({ length: 1_001 }, () => '07'),
        ),
      ),
    ).toMatchObject({
      code: 'INVALID_ARGUMENT',
    })
  })
})
