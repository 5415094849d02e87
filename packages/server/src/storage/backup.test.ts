import { createPublicKey } from 'node:crypto'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gunzipSync, gzipSync } from 'node:zlib'
import { generateSigningKey, parseJwt } from '@countersign/tokens'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { chainHash, chainStart, isHeadSigned } from '../audit/chain.ts'
import type { AuditHead } from '../audit/event.ts'
import { addKeyClient, askToken, issuer, kidOf, publishedKids } from '../replicas.fixture.ts'
import { insertSvidRevocations, revokeToken } from '../revocation/revoke.ts'
import { createMasterKey, generateMasterKey } from '../sealing/master-key.ts'
import { postForm, startTestServer, type TestClient, type TestServer } from '../server.fixture.ts'
import { setService } from '../services/manage-services.ts'
import { revokeSigningKey, rotateSigningKey } from '../signing-keys/lifecycle.ts'
import { backupStore } from './backup.ts'
import { openStore } from './open.ts'
import { type RestoreOptions, type RestoreSummary, restoreStore } from './restore.ts'
import type { Store } from './store.ts'
import { type FreshDatabase, freshDatabase } from './stores.fixture.ts'

const kinds: Store['kind'][] = process.env.COUNTERSIGN_TEST_POSTGRES_URL ? ['sqlite', 'postgres'] : ['sqlite']
const directions = kinds.flatMap((from) => kinds.map((to) => [from, to] as const))
const start = 1_800_000_000_000

let folder: string
let file: string
let clock: number
let closing: (() => Promise<unknown>)[]
let masterKey: string

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'countersign-backup-'))
  file = join(folder, 'store.backup')
  clock = start
  closing = []
  masterKey = generateMasterKey()
})

afterEach(async () => {
  for (const close of closing.reverse()) await close()
  rmSync(folder, { recursive: true })
})

const seconds = () => Math.floor(clock / 1000)

async function database(kind: Store['kind']): Promise<FreshDatabase> {
  const fresh = await freshDatabase(kind)
  closing.push(() => fresh.drop())
  return fresh
}

async function serve(databaseUrl: string): Promise<TestServer> {
  const server = await startTestServer({ databaseUrl, masterKey, issuer, settings: { nowMilliseconds: () => clock } })
  closing.push(() => server.close())
  return server
}

async function restore(to: FreshDatabase, options: Partial<RestoreOptions> = {}): Promise<RestoreSummary> {
  const store = await openStore(to.url)
  try {
    const key = createMasterKey(masterKey)
    return await restoreStore(store, file, { masterKey: key, nowMilliseconds: () => clock, ...options })
  } finally {
    await store.close()
  }
}

/** Follows every chain in the store to its head. */
async function brokenChains({ database }: Store): Promise<string[]> {
  const publicKey = createPublicKey(createMasterKey(masterKey).auditKey)
  const broken: string[] = []
  for (const head of await database.selectFrom('audit_heads').selectAll().execute()) {
    const rows = await database
      .selectFrom('audit_events')
      .selectAll()
      .where('chain', '=', head.chain)
      .orderBy('sequence')
      .execute()
    const hash = rows.reduce((previous, row) => chainHash(previous, row.event), chainStart)
    if (hash !== head.hash || rows.length !== head.sequence || !isHeadSigned(head as AuditHead, publicKey)) {
      broken.push(head.chain)
    }
  }
  return broken
}

const events = async ({ authority }: TestServer, type: string) => {
  const rows = await authority.store.database.selectFrom('audit_events').selectAll().where('type', '=', type).execute()
  return rows.map(({ event }) => JSON.parse(event))
}

describe.each(directions)('a backup of %s restored into %s', (from, to) => {
  let source: TestServer
  let target: FreshDatabase
  let client: TestClient
  let assertion: (at?: number) => Record<string, string>

  beforeEach(async () => {
    source = await serve((await database(from)).url)
    target = await database(to)
    client = await source.addClient('svc')
    assertion = await addKeyClient(source, 'svc-key')
  })

  it('lets clients go on with the secrets, keys and grants that they have', async () => {
    await backupStore(source.authority.store, file, createMasterKey(masterKey), seconds)
    clock += 3_600_000
    await restore(target)
    clock += 60_000
    const restored = await serve(target.url)
    const before = await askToken(source, client)
    const after = await askToken(restored, client)
    expect(after.status).toBe(200)
    expect(after.json.scope).toBe(before.json.scope)
    expect((await postForm(`${restored.url}/oauth/token`, assertion(seconds()))).status).toBe(200)
  })

  it('publishes the keys of services that the backup knew, and no others', async () => {
    const [known, later] = [
      (await generateSigningKey('EdDSA')).publicJwk,
      (await generateSigningKey('EdDSA')).publicJwk,
    ]
    await setService('order', [known], source.authority, {})
    await backupStore(source.authority.store, file, createMasterKey(masterKey), seconds)
    // A server of the target's own, which leaves before the restore.
    const before = await startTestServer({ databaseUrl: target.url, masterKey, issuer })
    await setService('stray', [later], before.authority, {})
    await before.close()
    await restore(target, { replace: true })
    const restored = await serve(target.url)
    const keySet = async (name: string) => (await fetch(`${restored.url}/${name}/.well-known/jwks.json`)).json()
    expect(await keySet('order')).toEqual({ keys: [known] })
    expect(await keySet('stray')).toMatchObject({ status: 404 })
  })

  it('signs with new keys only, and publishes the old ones while their tokens live', async () => {
    const old = kidOf((await askToken(source, client)).json.access_token)
    await backupStore(source.authority.store, file, createMasterKey(masterKey), seconds)
    const summary = await restore(target)
    const restored = await serve(target.url)
    const kid = kidOf((await askToken(restored, client)).json.access_token)
    expect(kid).not.toBe(old)
    expect(await publishedKids(restored)).toEqual(expect.arrayContaining([old, kid]))
    expect(summary.warnings.join('\n')).toContain(old)
  })

  it('revokes the old keys where it is told to', async () => {
    const old = kidOf((await askToken(source, client)).json.access_token)
    await backupStore(source.authority.store, file, createMasterKey(masterKey), seconds)
    await restore(target, { signingKeys: 'revoke' })
    const restored = await serve(target.url)
    expect(await publishedKids(restored)).not.toContain(old)
    const rows = await restored.authority.store.database.selectFrom('revocations').select('kid').execute()
    expect(rows).toEqual([{ kid: old }])
  })

  it('accepts no assertion that may have been used when the store did not yet know', async () => {
    const used = assertion(seconds())
    expect((await postForm(`${source.url}/oauth/token`, used)).status).toBe(200)
    await backupStore(source.authority.store, file, createMasterKey(masterKey), seconds)
    clock += 5_000
    const usedLater = assertion(seconds())
    expect((await postForm(`${source.url}/oauth/token`, usedLater)).status).toBe(200)
    clock += 5_000
    await restore(target)
    const restored = await serve(target.url)
    for (const form of [used, usedLater, assertion(seconds())]) {
      expect((await postForm(`${restored.url}/oauth/token`, form)).status).toBe(401)
    }
    clock += 31_000
    expect((await postForm(`${restored.url}/oauth/token`, assertion(seconds()))).status).toBe(200)
  })

  it('begins new audit chains, leaves the old ones whole, and says what it is', async () => {
    await askToken(source, client)
    await backupStore(source.authority.store, file, createMasterKey(masterKey), seconds)
    clock += 86_400_000
    await restore(target)
    const restored = await serve(target.url)
    await askToken(restored, client)
    expect(await brokenChains(restored.authority.store)).toEqual([])
    expect(restored.authority.audit.chain).not.toBe(source.authority.audit.chain)
    const [event] = await events(restored, 'store.restored')
    expect(event).toMatchObject({
      outcome: 'success',
      time: new Date(start + 86_400_000).toISOString(),
      detail: { backup_at: new Date(start).toISOString(), signing_keys: 'retire' },
    })
    expect(event.detail.warnings.join('\n')).toMatch(/withdraw them again/)
  })

  it('has readers of the revocation feed begin anew, with all that was revoked', async () => {
    const { store } = source.authority
    const [name, value] = ['revocation_feed_epoch', 'of the old store']
    await store.database
      .insertInto('settings')
      .values({ name, value })
      .onConflict((conflict) => conflict.doNothing())
      .execute()
    const kid = await rotateSigningKey('ES256', source.authority.keys)
    await revokeSigningKey(kid, source.authority.keys)
    await backupStore(store, file, createMasterKey(masterKey), seconds)
    await restore(target)
    const restored = await openStore(target.url)
    expect(await restored.database.selectFrom('settings').select('value').where('name', '=', name).execute()).toEqual(
      [],
    )
    const [row] = await restored.database.selectFrom('revocations').selectAll().execute()
    const counter = await restored.database.selectFrom('store_revision').select('value').executeTakeFirstOrThrow()
    expect(row?.kid).toBe(kid)
    expect(row?.revision).toBeLessThan(counter.value)
    await restored.close()
  })

  it('is of one moment, whatever is written while it is made', async () => {
    const writer = await openStore(source.databaseUrl)
    let over = false
    const writing = (async () => {
      while (!over) await askToken(source, client)
    })()
    for (let index = 0; index < 3; index++) await backupStore(writer, file, createMasterKey(masterKey), seconds)
    over = true
    await writing
    await writer.close()
    await restore(target)
    const restored = await openStore(target.url)
    expect(await brokenChains(restored)).toEqual([])
    await restored.close()
  })

  it('is refused by a database that is in use, unless that is to be replaced', async () => {
    await backupStore(source.authority.store, file, createMasterKey(masterKey), seconds)
    await restore(target)
    await expect(restore(target)).rejects.toMatchObject({
      code: 'conflict',
      message: expect.stringMatching(/in use/),
    })
    const other = createMasterKey(generateMasterKey())
    await expect(restore(target, { replace: true, masterKey: other })).rejects.toMatchObject({
      code: 'wrong_master_key',
    })
    await restore(target, { replace: true })
    const restored = await serve(target.url)
    expect((await askToken(restored, client)).status).toBe(200)
    expect(await events(restored, 'store.restored')).toHaveLength(2)
    expect(await brokenChains(restored.authority.store)).toEqual([])
  })

  it('takes nothing back that was changed since, once it is replaced', async () => {
    await backupStore(source.authority.store, file, createMasterKey(masterKey), seconds)
    await source.addClient('svc-since')
    await restore(target)
    await restore(target, { replace: true })
    const restored = await serve(target.url)
    expect((await askToken(restored, { ...client, id: 'svc-since' })).status).toBe(401)
  })

  it('cannot be opened under another master key, and then nothing is restored', async () => {
    await backupStore(source.authority.store, file, createMasterKey(masterKey), seconds)
    const other = createMasterKey(generateMasterKey())
    await expect(restore(target, { masterKey: other })).rejects.toMatchObject({ code: 'wrong_master_key' })
    const store = await openStore(target.url)
    for (const table of ['clients', 'settings', 'audit_events', 'signing_keys'] as const) {
      expect(await store.database.selectFrom(table).selectAll().execute()).toEqual([])
    }
    await store.close()
  })
})

describe('a backup that somebody else could write', () => {
  it.each([
    [
      'adds a client',
      (lines: string[]) =>
        lines.splice(-2, 0, lines.find((line) => line.startsWith('["clients"'))!.replaceAll('"svc"', '"evil"')),
    ],
    [
      'enables another audience',
      (lines: string[]) =>
        lines.splice(0, lines.length, ...lines.map((line) => line.replace('https://orders', 'https://evil'))),
    ],
    [
      'changes only the header',
      (lines: string[]) => lines.splice(0, 1, lines[0]!.replace(/"createdAt":\d+/, '"createdAt":1')),
    ],
  ])('is refused whole when he %s', async (_what, forge) => {
    const home = await database('sqlite')
    const server = await serve(home.url)
    await server.addClient('svc')
    await backupStore(server.authority.store, file, createMasterKey(masterKey), seconds)
    const lines = gunzipSync(readFileSync(file)).toString().trimEnd().split('\n')
    forge(lines)
    const end = JSON.parse(lines.pop()!)
    lines.push(JSON.stringify({ ...end, rows: lines.length - 1 }))
    writeFileSync(file, gzipSync(`${lines.join('\n')}\n`))
    const target = await database('sqlite')
    await expect(restore(target)).rejects.toMatchObject({ code: 'wrong_master_key' })
    const store = await openStore(target.url)
    expect(await store.database.selectFrom('clients').selectAll().execute()).toEqual([])
    await store.close()
  })
})

describe.each(kinds)('a backup put in the place of its own store on %s', (kind) => {
  it('revives no revoked key, no revoked token and no used assertion', async () => {
    const home = await database(kind)
    const server = await serve(home.url)
    const client = await server.addClient('svc')
    const assertion = await addKeyClient(server, 'svc-key')
    const token = (await askToken(server, client)).json.access_token
    const [kid, jti] = [kidOf(token), parseJwt(token).claims.jti as string]
    const svid = { serial: '4f'.repeat(20), expiresAt: seconds() + 3600 }
    await backupStore(server.authority.store, file, createMasterKey(masterKey), seconds)
    await revokeSigningKey(kid, server.authority.keys)
    await revokeToken({ jti }, server.authority, {})
    await server.authority.audit.recordChange({ type: 'svid.revoked', outcome: 'success' }, (transaction) =>
      insertSvidRevocations(transaction, [svid], server.authority),
    )
    const form = assertion(seconds())
    expect((await postForm(`${server.url}/oauth/token`, form)).status).toBe(200)
    const used = await server.authority.store.database.selectFrom('used_assertions').selectAll().execute()
    const recorded = (await server.authority.store.database.selectFrom('audit_events').select('hash').execute()).length
    await server.close()
    closing.pop()

    await restore(home, { replace: true })
    const restored = await serve(home.url)
    const { store } = restored.authority
    expect(await publishedKids(restored)).not.toContain(kid)
    const revoked = await store.database.selectFrom('revocations').select(['kid', 'jti', 'serial']).execute()
    expect(new Set(revoked.map((row) => row.kid ?? row.jti ?? row.serial))).toEqual(new Set([kid, jti, svid.serial]))
    expect(await store.database.selectFrom('used_assertions').selectAll().execute()).toEqual(used)
    expect((await store.database.selectFrom('audit_events').select('hash').execute()).length).toBeGreaterThan(recorded)
    expect(await brokenChains(store)).toEqual([])
    expect((await postForm(`${restored.url}/oauth/token`, form)).status).toBe(401)
    expect((await askToken(restored, client)).status).toBe(200)
  })
})

describe('a replica that goes on while its store is replaced', () => {
  it.skipIf(kinds.length < 2)('forgets the clients that it knew', async () => {
    const home = await database('postgres')
    const server = await serve(home.url)
    await backupStore(server.authority.store, file, createMasterKey(masterKey), seconds)
    const client = await server.addClient('svc')
    expect((await askToken(server, client)).status).toBe(200)
    await restore(home, { replace: true })
    await server.authority.feed.catchUp()
    expect((await askToken(server, client)).status).toBe(401)
  })
})

describe('a backup file', () => {
  let server: TestServer
  let target: FreshDatabase

  beforeEach(async () => {
    server = await serve((await database('sqlite')).url)
    target = await database('sqlite')
  })

  const text = () => gunzipSync(readFileSync(file)).toString()
  const rewrite = (change: (text: string) => string) => writeFileSync(file, gzipSync(change(text())))

  it('is for its owner alone, and holds no secret in clear', async () => {
    const client = await server.addClient('svc')
    const summary = await backupStore(server.authority.store, file, createMasterKey(masterKey), seconds)
    expect(statSync(file).mode & 0o777).toBe(0o600)
    expect(text()).not.toContain(client.secret)
    expect(text()).not.toContain(masterKey)
    expect(text()).not.toContain('"d":')
    expect(summary).toEqual({ file, rows: text().trim().split('\n').length - 2, createdAt: seconds() })
  })

  it('replaces an older one only when it is whole', async () => {
    await backupStore(server.authority.store, file, createMasterKey(masterKey), seconds)
    const before = readFileSync(file)
    const { database } = server.authority.store
    await database.schema.alterTable('used_assertions').renameTo('hidden').execute()
    await expect(backupStore(server.authority.store, file, createMasterKey(masterKey), seconds)).rejects.toThrow()
    expect(readFileSync(file)).toEqual(before)
    expect(readdirSync(folder)).toEqual(['store.backup'])
  })

  it('is refused where it cannot be written, and leaves the store usable', async () => {
    await expect(
      backupStore(server.authority.store, join(folder, 'no', 'such', 'folder'), createMasterKey(masterKey), seconds),
    ).rejects.toThrow(/ENOENT/)
    await server.addClient('svc')
  })

  it.each([
    ['cut off in the middle', () => writeFileSync(file, readFileSync(file).subarray(0, readFileSync(file).length / 2))],
    ['cut off at the end', () => writeFileSync(file, readFileSync(file).subarray(0, -4))],
    ['empty', () => writeFileSync(file, '')],
    ['not there', () => rmSync(file)],
    ['not compressed', () => writeFileSync(file, text())],
    ['something else altogether', () => writeFileSync(file, gzipSync('{"hello":"world"}\n'))],
    ['without its last line', () => rewrite((whole) => whole.slice(0, whole.lastIndexOf('\n', whole.length - 2) + 1))],
    ['followed by something', () => rewrite((whole) => `${whole}{}\n`)],
    ['short of one row', () => rewrite((whole) => whole.replace(/\n\["settings".*?\n/, '\n'))],
    ['of a table that we do not know', () => rewrite((whole) => whole.replace('["settings"', '["sqlite_master"'))],
    [
      'of a column that we do not know',
      () => rewrite((whole) => whole.replace('["settings",{', '["settings",{"extra":1,')),
    ],
    ['of rows that are no rows', () => rewrite((whole) => whole.replace(/\["settings",.*\]/, '["settings",7]'))],
    ['of a newer version', () => rewrite((whole) => whole.replace('"version":1', '"version":2'))],
    ['of a newer schema', () => rewrite((whole) => whole.replace('"001-foundation"', '"001-foundation","999-later"'))],
  ])('that is %s is refused, and nothing is restored', async (_how, damage) => {
    await backupStore(server.authority.store, file, createMasterKey(masterKey), seconds)
    damage()
    const failure = await restore(target).catch((error) => error)
    expect(failure).toMatchObject({
      name: 'StoreError',
      message: expect.stringMatching(/backup cannot be restored|database failed/),
    })
    const store = await openStore(target.url)
    for (const table of ['settings', 'audit_events', 'signing_keys'] as const) {
      expect(await store.database.selectFrom(table).selectAll().execute()).toEqual([])
    }
    await store.close()
    expect(existsSync(`${file}.partial`)).toBe(false)
  })
})
