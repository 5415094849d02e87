import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { type AuthoritiesUnderTest, hour, openAuthorities } from '../certificate-authorities/authorities.fixture.ts'
import { CertificateAuthorities } from '../certificate-authorities/certificate-authorities.ts'
import { revokeAuthority, rotateAuthority } from '../certificate-authorities/lifecycle.ts'
import { backupStore } from './backup.ts'
import { ChangeFeed } from './change-feed.ts'
import { openStore } from './open.ts'
import { type RestoreSummary, restoreStore } from './restore.ts'
import type { Store } from './store.ts'
import { describeStores, freshDatabase } from './stores.fixture.ts'

let under: AuthoritiesUnderTest
let folder: string
let file: string

const nowMilliseconds = () => under.clock.now * 1000
const sequence = () => under.one.authorities.bundle().sequenceNumber ?? 0
const published = ({ authorities }: { authorities: CertificateAuthorities }) =>
  authorities.bundle().x509Authorities.map(({ subjectKeyId }) => subjectKeyId)

function restore(store: Store, replace: boolean): Promise<RestoreSummary> {
  return restoreStore(store, file, { masterKey: under.masterKey, replace, nowMilliseconds })
}

async function setBundle(name: string, sequenceNumber: number): Promise<void> {
  const bundle = JSON.stringify({ keys: [], spiffe_sequence: sequenceNumber })
  const row = { bundle, sequence_number: sequenceNumber, endpoint_url: 'https://other.org/', next_fetch_at: 2 ** 40 }
  const nothing = { endpoint_profile: 'https_web', endpoint_spiffe_id: null, refresh_hint: null, fetched_at: null }
  await under.one.store.database
    .insertInto('trust_bundles')
    .values({
      trust_domain: name,
      ...row,
      ...nothing,
      failure: null,
      failing_since: null,
      created_at: 0,
      updated_at: 0,
    })
    .onConflict((conflict) => conflict.column('trust_domain').doUpdateSet(row))
    .execute()
}

describeStores('a restored backup and the authorities', (kind) => {
  beforeEach(async () => {
    under = await openAuthorities(kind)
    folder = mkdtempSync(join(tmpdir(), 'countersign-restore-'))
    file = join(folder, 'store.backup')
    await backupStore(under.one.store, file, under.masterKey, () => under.clock.now)
  })
  afterEach(async () => {
    await under.close()
    rmSync(folder, { recursive: true })
  })

  it('revives no CA that was revoked since, and keeps the ones that were made since', async () => {
    const [first] = (await under.ids('x509', 'active')) as [string]
    const [key] = (await under.ids('jwt', 'active')) as [string]
    for (const id of [first, key]) await revokeAuthority(id, under.one.context, { force: true })
    await under.one.feed.catchUp()
    const before = { number: sequence(), published: published(under.one) }
    under.clock.now += hour
    const { warnings } = await restore(under.one.store, true)
    await under.one.feed.catchUp()
    expect(published(under.one)).toEqual(before.published)
    expect(published(under.one)).not.toContain(first)
    expect(under.one.authorities.bundle().jwtAuthorities.has(key)).toBe(false)
    expect(sequence()).toBeGreaterThan(before.number)
    expect(warnings.join()).not.toContain('certificate authorities')
    const revoked = (await under.rows()).filter(({ status }) => status === 'revoked')
    expect(revoked.map(({ id }) => id).sort()).toEqual([first, key].sort())
    for (const { sealed_private_key } of revoked) expect(sealed_private_key).toBe('')
  })

  it('brings the CAs into an empty store, with a number of the bundle that nobody has seen, and names them', async () => {
    const ids = (await under.rows()).map(({ id }) => id)
    for (let times = 0; times < 5; times += 1) await rotateAuthority('x509', under.one.context, { force: true })
    await under.one.feed.catchUp()
    const fresh = await freshDatabase(kind)
    const store = await openStore(fresh.url)
    try {
      const { warnings } = await restore(store, false)
      const feed = new ChangeFeed(store)
      const options = { store, feed, masterKey: under.masterKey, trustDomain: 'example.org' }
      const authorities = new CertificateAuthorities(options)
      await authorities.load()
      expect(authorities.bundle().sequenceNumber).toBeGreaterThan(sequence())
      expect(ids).toContain(authorities.issuer().certificate.subjectKeyId)
      expect(ids).toContain(authorities.jwtSigner().kid)
      const told = warnings.find((warning) => warning.startsWith('certificate authorities'))
      for (const id of ids) expect(told).toContain(id)
    } finally {
      await store.close()
      await fresh.drop()
    }
  })

  it("takes no other trust domain's bundle back, and fetches it at once", async () => {
    await setBundle('other.org', 3)
    await backupStore(under.one.store, file, under.masterKey, () => under.clock.now)
    await setBundle('other.org', 4)
    await restore(under.one.store, true)
    const rows = await under.one.store.database.selectFrom('trust_bundles').selectAll().execute()
    expect(rows).toMatchObject([{ trust_domain: 'other.org', sequence_number: 4, next_fetch_at: 0 }])
    expect(rows[0]?.bundle).toContain('"spiffe_sequence":4')
  })
})
