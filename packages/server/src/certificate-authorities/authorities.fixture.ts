import { AuditLog } from '../audit/log.ts'
import { createMasterKey, generateMasterKey, type MasterKey } from '../sealing/master-key.ts'
import { ChangeFeed } from '../storage/change-feed.ts'
import { openStore } from '../storage/open.ts'
import type { Store } from '../storage/store.ts'
import { type FreshDatabase, freshDatabase } from '../storage/stores.fixture.ts'
import type { CertificateAuthorityRow } from '../storage/workload-identity-tables.ts'
import { type AuthorityContext, type AuthorityKind, authorityKinds } from './authority-context.ts'
import { CertificateAuthorities } from './certificate-authorities.ts'
import { ensureAuthority } from './tend-authorities.ts'
import type { UpstreamFiles } from './upstream-ca.ts'

export const hour = 3600
export const day = 24 * hour
export const start = 1_800_000_000

export interface Replica {
  context: AuthorityContext
  authorities: CertificateAuthorities
  store: Store
  feed: ChangeFeed
  errors: unknown[]
}

/** Replicas over one database, whose clock is in the test's hand. */
export interface AuthoritiesUnderTest {
  clock: { now: number }
  masterKey: MasterKey
  fresh: FreshDatabase
  /** The first of them has made the first authorities. */
  one: Replica
  replica(options?: { upstream?: UpstreamFiles; now?: () => number }): Promise<Replica>
  rows(): Promise<CertificateAuthorityRow[]>
  /** Ids by status, of what was not revoked and not forgotten */
  ids(kind: AuthorityKind, status: string): Promise<string[]>
  /** Types and targets of the audit events on authorities, in order */
  events(): Promise<{ type: string; target: string; detail: Record<string, unknown> }[]>
  close(): Promise<void>
}

export async function openAuthorities(
  kind: Store['kind'],
  options: { upstream?: UpstreamFiles } = {},
): Promise<AuthoritiesUnderTest> {
  const clock = { now: start }
  const fresh = await freshDatabase(kind)
  const masterKey = createMasterKey(generateMasterKey())
  const replicas: Replica[] = []

  const replica: AuthoritiesUnderTest['replica'] = async ({ upstream, now } = options) => {
    const store = await openStore(fresh.url)
    const feed = new ChangeFeed(store)
    const errors: unknown[] = []
    const trustDomain = 'example.org'
    const onError = (error: unknown) => errors.push(error)
    const authorities = new CertificateAuthorities({ store, feed, masterKey, trustDomain, onError })
    await feed.start()
    const audit = new AuditLog({ store, key: masterKey.auditKey, chain: `replica-${replicas.length}` })
    const context = {
      store,
      masterKey,
      audit,
      now: now ?? (() => clock.now),
      trustDomain,
      lifetimeSeconds: 90 * day,
      publishAheadSeconds: 600,
      upstream,
    }
    const opened = { context, authorities, store, feed, errors }
    replicas.push(opened)
    return opened
  }

  const one = await replica(options)
  for (const each of authorityKinds) await ensureAuthority(each, one.context)
  await one.authorities.load()
  const rows = () =>
    one.store.database.selectFrom('certificate_authorities').selectAll().orderBy('created_at').orderBy('id').execute()
  return {
    clock,
    masterKey,
    fresh,
    one,
    replica,
    rows,
    ids: async (wanted, status) =>
      (await rows()).filter((row) => row.kind === wanted && row.status === status).map(({ id }) => id),
    async events() {
      const found = await one.store.database
        .selectFrom('audit_events')
        .select('event')
        .where('type', 'like', 'ca.%')
        .orderBy('time')
        .orderBy('sequence')
        .execute()
      return found.map(({ event }) => JSON.parse(event))
    },
    async close() {
      for (const { feed, store } of replicas) {
        await feed.stop()
        await store.close()
      }
      await fresh.drop()
    },
  }
}
