import { randomBytes } from 'node:crypto'
import { hostname } from 'node:os'
import { createRedisSingleUse } from '@countersign/limits'
import { AuditLog } from './audit/log.ts'
import type { SingleUseAssertions } from './client-auth/client-auth-method.ts'
import { createStoreSingleUse } from './client-auth/store-single-use.ts'
import { CredentialUse } from './clients/credential-use.ts'
import { ClientDirectory } from './clients/directory.ts'
import { pruneRevocations } from './revocation/feed.ts'
import { Revocations } from './revocation/revocations.ts'
import { checkMasterKey } from './sealing/check-master-key.ts'
import type { MasterKey } from './sealing/master-key.ts'
import { KeyRing } from './signing-keys/key-ring.ts'
import { ensureSigningKey, type LifecycleContext, tendSigningKeys } from './signing-keys/lifecycle.ts'
import { ChangeFeed, pruneChanges } from './storage/change-feed.ts'
import { openStore } from './storage/open.ts'
import type { Store } from './storage/store.ts'

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
  redis?: Parameters<typeof createRedisSingleUse>[0]['client']
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
  readonly assertions: SingleUseAssertions
  readonly credentialUse: CredentialUse
  readonly revocations: Revocations
  readonly keys: LifecycleContext
  /** Seconds since the epoch */
  readonly now: () => number
  close(): Promise<void>
}

/** @throws StoreError `unavailable`, `wrong_master_key` */
export async function openAuthority(settings: AuthoritySettings): Promise<Authority> {
  const nowMilliseconds = settings.nowMilliseconds ?? Date.now
  const now = () => Math.floor(nowMilliseconds() / 1000)
  const store = await openStore(settings.databaseUrl)
  try {
    await checkMasterKey(store, settings.masterKey)
    const feed = new ChangeFeed(store)
    const audit = new AuditLog({
      store,
      key: settings.masterKey.auditKey,
      chain:
        settings.replica ?? (store.kind === 'sqlite' ? 'local' : `${hostname()}-${randomBytes(3).toString('hex')}`),
      nowMilliseconds,
      // Whoever was told that a secret is revoked must not see it accepted by the very replica that told him.
      afterChange: () => feed.catchUp(),
    })
    const keyRing = new KeyRing({ store, feed, masterKey: settings.masterKey })
    const clients = new ClientDirectory({ store, feed })
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
    await feed.start()
    await ensureSigningKey('ES256', keys)
    await keyRing.load()
    await revocations.start()
    const tending = setInterval(() => {
      const failed = (what: string) => (error: unknown) => settings.onError?.(what, error)
      void tendSigningKeys(keys).catch(failed('tending the signing keys'))
      void pruneChanges(store, now()).catch(failed('pruning the change feed'))
      void pruneRevocations(store, now()).catch(failed('pruning the revocations'))
    }, tendMilliseconds)
    tending.unref()
    return {
      issuer: settings.issuer,
      store,
      feed,
      audit,
      masterKey: settings.masterKey,
      keyRing,
      clients,
      assertions: assertionsFor(store, settings, now),
      credentialUse,
      revocations,
      keys,
      now,
      async close() {
        clearInterval(tending)
        revocations.stop()
        await feed.stop()
        await credentialUse.stop()
        await audit.flush()
        await store.close()
      },
    }
  } catch (error) {
    await store.close()
    throw error
  }
}

/** One process remembers by itself only while nothing is shared; replicas share Redis, or at least the database. */
function assertionsFor(store: Store, settings: AuthoritySettings, now: () => number): SingleUseAssertions {
  if (settings.redis) return createRedisSingleUse({ client: settings.redis, prefix: 'countersign:assertion:' })
  return createStoreSingleUse(store, now)
}
