import { createPublicKey } from 'node:crypto'
import { DatabaseSync } from 'node:sqlite'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { startTestServer, type TestClient, type TestServer } from '../server.fixture.ts'
import type { AuditHead } from './event.ts'
import { exportEvents, exportHeads } from './export.ts'
import { verifyChains } from './verify.ts'

let server: TestServer
let client: TestClient
let file: DatabaseSync

beforeEach(async () => {
  server = await startTestServer()
  client = await server.addClient('svc-a')
  for (let index = 0; index < 12; index += 1) await server.token(client)
  await server.post('/oauth/token', { grant_type: 'client_credentials' }, { ...client, secret: 'wrong' })
  file = new DatabaseSync(server.databaseUrl.slice('sqlite:'.length))
})
afterEach(async () => {
  file.close()
  await server.close()
})

async function verdict(notedHeads: AuditHead[] = []) {
  const { database } = server.authority.store
  return verifyChains({
    events: exportEvents(database),
    heads: await exportHeads(database),
    publicKey: createPublicKey(server.authority.masterKey.auditKey),
    notedHeads,
  })
}

const places = async (notedHeads?: AuditHead[]) =>
  (await verdict(notedHeads)).broken.map(({ chain, sequence, problem }) => `${chain} ${sequence} ${problem}`)

it('holds as the server wrote it, and when it was closed and opened', async () => {
  expect(await places()).toEqual([])
  const [chain] = (await verdict()).chains
  expect(chain?.sequence).toBeGreaterThan(12)
})

it.each([
  [
    'edits the text of an event',
    `update audit_events set event = replace(event, 'success', 'failure') where sequence = 8`,
    'local 8 edited',
  ],
  [
    'edits only the column that is searched',
    `update audit_events set client_id = 'svc-b' where sequence = 8`,
    'local 8 edited',
  ],
  ['edits only the type column', `update audit_events set type = 'x.y' where sequence = 8`, 'local 8 edited'],
  ['empties the client column', `update audit_events set client_id = null where sequence = 8`, 'local 8 edited'],
  ['ruins the text of an event', `update audit_events set event = '{' where sequence = 8`, 'local 8 edited'],
  ['edits a hash', `update audit_events set hash = '${'0'.repeat(64)}' where sequence = 8`, 'local 8 edited'],
  ['removes a row', 'delete from audit_events where sequence = 8', 'local 8 removed'],
  ['cuts the tail', 'delete from audit_events where sequence > 8', 'local 9 tail_cut'],
  ['removes everything', 'delete from audit_events', 'local 1 tail_cut'],
  ['removes the head', 'delete from audit_heads', 'local head_missing'],
  [
    'puts a row after the head',
    `insert into audit_events select chain, sequence + 100, time, type, outcome, client_id, event, hash from audit_events where sequence = 8`,
    'local removed',
  ],
  [
    'exchanges two rows',
    'update audit_events set sequence = -8 where sequence = 8; update audit_events set sequence = 8 where sequence = 9; update audit_events set sequence = 9 where sequence = -8',
    'local 8 edited',
  ],
  ['edits the head', 'update audit_heads set sequence = 5', 'local 5 head_signature'],
])('finds who %s in the file', async (_what, sql, place) => {
  file.exec(sql)
  const found = await places()
  expect(found).toHaveLength(1)
  const [chain, sequence, problem] = (found[0] ?? '').split(' ')
  const [expectedChain, ...rest] = place.split(' ')
  expect([chain, problem]).toEqual([expectedChain, rest.at(-1)])
  if (rest.length === 2) expect(sequence).toBe(rest[0])
})

it('finds who cuts the tail and puts back an earlier head, when a head was noted', async () => {
  const { database } = server.authority.store
  const [earlier] = await exportHeads(database)
  const kept = earlier as AuditHead
  for (let index = 0; index < 3; index += 1) await server.token(client)
  const noted = await exportHeads(database)
  file.prepare('delete from audit_events where sequence > ?').run(kept.sequence)
  file
    .prepare('update audit_heads set sequence = ?, hash = ?, time = ?, signature = ?')
    .run(kept.sequence, kept.hash, kept.time, kept.signature)
  expect(await places()).toEqual([])
  expect(await places(noted)).toEqual([`local ${kept.sequence + 1} noted_head_missing`])
})

it('does not sign damage away: after a restart it goes on in another chain, and the broken place stays named', async () => {
  file.exec('delete from audit_events where sequence > 8')
  await server.app.close()
  const again = await startTestServer({
    databaseUrl: server.databaseUrl,
    masterKey: server.masterKey,
    issuer: server.issuer,
  })
  try {
    await again.token(client)
    expect(await places()).toEqual(['local 9 tail_cut'])
    const chains = (await verdict()).chains.map(({ chain }) => chain)
    expect(chains).toHaveLength(2)
    expect(chains[1]).toMatch(/^local~/)
  } finally {
    await again.close()
  }
})
