import { randomBytes } from 'node:crypto'
import { hostname } from 'node:os'
import type { RedisClient } from '@countersign/limits'
import { AuditLog } from './audit/log.ts'
import type { SingleUseAssertions } from './client-auth/client-auth-method.ts'
import { createRedisAssertions } from './client-auth/redis-assertions.ts'
import { createStoreSingleUse } from './client-auth/store-single-use.ts'
import { CredentialUse } from './clients/credential-use.ts'
import { ClientDirectory } from './clients/directory.ts'
import { forgetExpired } from './nodes/forget-expired.ts'
import { pruneRevocations } from './revocation/feed.ts'
import { Revocations } from './revocation/revocations.ts'
import { checkMasterKey } from './sealing/check-master-key.ts'
import type { MasterKey } from './sealing/master-key.ts'
import { ServiceKeySets } from './services/service-key-sets.ts'
import { KeyRing } from './signing-keys/key-ring.ts'
import { ensureSigningKey, type LifecycleContext, tendSigningKeys } from './signing-keys/lifecycle.ts'
import { ChangeFeed, pruneChanges } from './storage/change-feed.ts'
import { openStore } from './storage/open.ts'
import { lastRestore, type RestoreNote } from './storage/restore-note.ts'
import type { Store } from './storage/store.ts'
import { openWorkloadIdentity, type WorkloadIdentity, type WorkloadIdentitySettings } from './workload-identity.ts'

const day = 86_400
const tendMilliseconds = 60_000

export interface AuthoritySettings {
  /** Kept exactly as configured */
  issuer: string
  databaseUrl: string
  masterKey: MasterKey
  /** Names this replica's audit chain */
  replica?: string
  keyRotationSeconds?: number
  keyPublishAheadSeconds?: number
  /** Shares what must be shared fast between replicas */
  redis?: RedisClient
  /** Workload identity, where there is a trust domain */
  spiffe?: WorkloadIdentitySettings
  nowMilliseconds?: () => number
  onError?: (what: string, error: unknown) => void
}

/** What the server knows and does, without HTTP: everything else is routes over this. */
export interface Authority {
  readonly issuer: string
  readonly store: Store
  readonly feed: ChangeFeed
  readonly audit: AuditLog
  readonly masterKey: MasterKey
  readonly keyRing: KeyRing
  readonly clients: ClientDirectory
  readonly services: ServiceKeySets
  readonly assertions: SingleUseAssertions
  readonly credentialUse: CredentialUse
  readonly revocations: Revocations
  readonly keys: LifecycleContext
  /** Undefined without a trust domain */
  readonly workloadIdentity: WorkloadIdentity | undefined
  /** Seconds since the epoch */
  readonly now: () => number
  close(): Promise<void>
}

/** @throws StoreError `unavailable`, `wrong_master_key` */
export async function openAuthority(settings: AuthoritySettings): Promise<Authority> {
  const nowMilliseconds = settings.nowMilliseconds ?? Date.now
  const now = () => Math.floor(nowMilliseconds() / 1000)
  const store = await openStore(settings.databaseUrl)
  const started: { stop(): Promise<void> }[] = []
  try {
    await checkMasterKey(store, settings.masterKey)
    const restored = await lastRestore(store)
    const feed = new ChangeFeed(store)
    const audit = new AuditLog({
      store,
      key: settings.masterKey.auditKey,
      chain: chainName(store, settings, restored),
      nowMilliseconds,
      // Whoever was told that a secret is revoked must not see it accepted by the very replica that told him.
      afterChange: () => feed.catchUp(),
    })
    const keyRing = new KeyRing({
      store,
      feed,
      masterKey: settings.masterKey,
      onError: (error) => settings.onError?.('reading the signing keys', error),
    })
    const clients = new ClientDirectory({ store, feed })
    const services = new ServiceKeySets({ store, feed })
    const credentialUse = new CredentialUse(store, now)
    const revocations = new Revocations({ store, feed, now })
    const keys: LifecycleContext = {
      store,
      masterKey: settings.masterKey,
      audit,
      now,
      rotationSeconds: settings.keyRotationSeconds ?? 30 * day,
      publishAheadSeconds: settings.keyPublishAheadSeconds ?? 7 * day,
    }
    started.push(feed, credentialUse)
    await feed.start()
    await ensureSigningKey('ES256', keys)
    await keyRing.load()
    await revocations.start()
    const workloadIdentity =
      settings.spiffe &&
      (await openWorkloadIdentity(settings.spiffe, {
        store,
        feed,
        audit,
        masterKey: settings.masterKey,
        now,
        ...(settings.onError && { onError: settings.onError }),
      }))
    const tending = setInterval(() => {
      const failed = (what: string) => (error: unknown) => settings.onError?.(what, error)
      void tendSigningKeys(keys).catch(failed('tending the signing keys'))
      void pruneChanges(store, now()).catch(failed('pruning the change feed'))
      void pruneRevocations(store, now()).catch(failed('pruning the revocations'))
      if (workloadIdentity) void forgetExpired(authority).catch(failed('forgetting expired entries and nodes'))
    }, tendMilliseconds)
    tending.unref()
    const authority: Authority = {
      issuer: settings.issuer,
      store,
      feed,
      audit,
      masterKey: settings.masterKey,
      keyRing,
      clients,
      services,
      assertions: assertionsFor(store, settings, now, restored),
      credentialUse,
      revocations,
      keys,
      workloadIdentity,
      now,
      async close() {
        clearInterval(tending)
        revocations.stop()
        await workloadIdentity?.stop()
        await feed.stop()
        await credentialUse.stop()
        await audit.flush()
        await store.close()
      },
    }
    return authority
  } catch (error) {
    for (const part of started) await part.stop()
    await store.close()
    throw error
  }
}

/** One process remembers by itself only while nothing is shared; replicas share Redis, or at least the database. */
function assertionsFor(
  store: Store,
  settings: AuthoritySettings,
  now: () => number,
  restored: RestoreNote | undefined,
): SingleUseAssertions {
  const memory = settings.redis
    ? createRedisAssertions(settings.redis, settings.issuer, now)
    : createStoreSingleUse(store, now)
  if (!restored) return memory
  return {
    firstUse: (id, expiresAt, issuedAt) =>
      issuedAt > restored.assertionsNotBefore && memory.firstUse(id, expiresAt, issuedAt),
  }
}

/** A restored chain is not written on: heads noted after the backup speak of events that it does not have. */
function chainName(store: Store, settings: AuthoritySettings, restored: RestoreNote | undefined): string {
  const name =
    settings.replica ?? (store.kind === 'sqlite' ? 'local' : `${hostname()}-${randomBytes(3).toString('hex')}`)
  return restored ? `${name}.${restored.id}` : name
}
