import { createPublicKey } from 'node:crypto'
import { join } from 'node:path'
import { parseCertificate } from '@countersign/spiffe'
import { afterAll, expect, it } from 'vitest'
import { exportEvents, exportHeads } from '../audit/export.ts'
import { verifyChains } from '../audit/verify.ts'
import { generateMasterKey } from '../sealing/master-key.ts'
import { mountSmallDisk } from '../small-disk.fixture.ts'
import { agentId, ask, attestByToken, newKey, refusal, startTestNodeServer } from './node-api.fixture.ts'

const small = mountSmallDisk()
afterAll(() => small.unmount())

it.skipIf(small.path === '')(
  `gives no SVID on a full disk that is not on record, and goes on when there is room${small.leftOut}`,
  async () => {
    const databaseUrl = `sqlite:${join(small.path, 'server.db')}`
    const server = await startTestNodeServer({ databaseUrl, masterKey: generateMasterKey() })
    const identity = await attestByToken(server)
    const client = server.connect(identity)
    const { id: entryId } = await server.entry({ parentId: agentId(identity) })
    const token = await server.joinToken()
    const params = Array.from({ length: 20 }, () => ({ entryId, csr: newKey().csr }))
    const given: string[] = []
    const issue = async () => {
      const { results } = await ask(client.svid.batchNewX509Svid, client.svid, { params })
      for (const { svid } of results) given.push(parseCertificate(svid?.certChain[0] as Buffer).serialNumber)
    }

    const unavailable = { code: 'UNAVAILABLE', message: 'not at the moment: try again later' }
    for (let refused = 0, asked = 0; refused < 10; asked += 1) {
      expect(asked).toBeLessThan(2_000)
      const four = await Promise.allSettled([issue(), issue(), issue(), issue()])
      for (const outcome of four) {
        if (outcome.status === 'fulfilled') refused = 0
        else refused += 1
        if (outcome.status === 'rejected') expect(await refusal(Promise.reject(outcome.reason))).toEqual(unavailable)
      }
    }
    const jwt = () => ask(client.svid.newJwtsvid, client.svid, { entryId, audience: ['a'] })
    // A single row may still fit where twenty did not.
    while (
      await jwt().then(
        () => true,
        () => false,
      )
    );
    expect(await refusal(jwt())).toEqual(unavailable)
    expect(await refusal(attestByToken(server, token))).toEqual(unavailable)
    expect(String(server.errors.at(-1))).toMatch(/full/)
    // What needs no record is served on.
    expect((await ask(client.bundle.getBundle, client.bundle, { outputMask: undefined })).x509Authorities).toHaveLength(
      1,
    )

    small.grow()
    await issue()
    // The one that was shown while there was no room is still good.
    await attestByToken(server, token)
    const { database } = server.server.authority.store
    const recorded = new Set((await server.events('svid.issued')).map(({ detail }) => (detail as Issued).serial_number))
    expect(given.length).toBeGreaterThan(100)
    expect(given.filter((serial) => !recorded.has(serial))).toEqual([])
    const { broken } = await verifyChains({
      events: exportEvents(database),
      heads: await exportHeads(database),
      publicKey: createPublicKey(server.server.authority.masterKey.auditKey),
    })
    expect(broken).toEqual([])
    client.close()
    await server.close()
  },
  60_000,
)

interface Issued {
  serial_number: string
}
