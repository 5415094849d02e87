import type { Bundle } from '../bundles/bundle.ts'
import type { SpiffeId } from '../ids/spiffe-id.ts'
import type { SpiffeError } from '../spiffe-error.ts'
import type { JwtSvid } from '../svids/jwt-svid.ts'
import { replaceBundles, type TrustBundles } from './received-bundles.ts'
import { warnOnce } from './warn-once.ts'
import { createWorkloadApi, type WorkloadApi } from './workload-api.ts'

export interface JwtSourceOptions {
  workloadApi?: WorkloadApi
  /** Where the Workload API is, when none is given: as in `createWorkloadApi`. */
  socket?: string
  /** Which of several identities to be. Default: the first. */
  id?: SpiffeId | string
  /** Hears of failures to follow the bundles. Default: one process warning for each kind. */
  onError?: (error: SpiffeError) => void
  /** Milliseconds since the epoch; for tests. */
  now?: () => number
}

/** JWT-SVIDs to send, and the bundles by which to judge those of others. */
export interface JwtSource {
  /** Resolves when the first bundles are here. `fetch` does not need them. */
  readonly ready: Promise<void>
  /**
   * A JWT-SVID for this audience, asked for anew when half of its life is over; one that still lives serves while the
   * agent is away.
   *
   * @throws SpiffeError `no_identity`, `unavailable`
   */
  fetch(audience: string | readonly string[]): Promise<JwtSvid>
  /** Always as the agent sent them last; may be handed on once for all. */
  readonly bundles: TrustBundles
  close(): void
  [Symbol.dispose](): void
}

/** @throws SpiffeError `invalid_configuration` when the socket's address is not one */
export function createJwtSource(options: JwtSourceOptions = {}): JwtSource {
  const workloadApi = options.workloadApi ?? createWorkloadApi({ socket: options.socket })
  const now = options.now ?? Date.now
  const kept = new Map<string, Kept>()
  const asking = new Map<string, Promise<JwtSvid>>()
  const { promise: ready, resolve: isReady } = Promise.withResolvers<void>()
  const bundles = new Map<string, Bundle>()

  const end = workloadApi.watchJwtBundles((update) => {
    replaceBundles(bundles, update)
    isReady()
  }, options.onError ?? warnOnce())

  async function fetch(audience: string | readonly string[]): Promise<JwtSvid> {
    const key = JSON.stringify([audience].flat().sort())
    const known = kept.get(key)
    if (known && now() < known.renewAtMilliseconds) return known.svid
    try {
      return await once(key, audience)
    } catch (error) {
      const lives = known && known.svid.expiresAt * 1000 > now() && (error as SpiffeError).code === 'unavailable'
      if (lives) return known.svid
      throw error
    }
  }

  /** However many ask at once, the agent is asked once. */
  function once(key: string, audience: string | readonly string[]): Promise<JwtSvid> {
    const under = asking.get(key)
    if (under) return under
    const answer = ask(key, audience).finally(() => asking.delete(key))
    asking.set(key, answer)
    return answer
  }

  async function ask(key: string, audience: string | readonly string[]): Promise<JwtSvid> {
    const svid = await workloadApi.fetchJwtSvid({ audience, id: options.id })
    const issuedAt = svid.issuedAt ?? now() / 1000
    keep(kept, key, { svid, renewAtMilliseconds: ((issuedAt + svid.expiresAt) / 2) * 1000 })
    return svid
  }

  function close() {
    end()
    kept.clear()
    if (options.workloadApi === undefined) workloadApi.close()
  }

  return {
    ready,
    fetch,
    bundles,
    close,
    [Symbol.dispose]: close,
  }
}

interface Kept {
  svid: JwtSvid
  renewAtMilliseconds: number
}

const maximumKept = 1000

function keep(kept: Map<string, Kept>, key: string, entry: Kept): void {
  // The oldest goes first; a deleted and set key is the newest.
  kept.delete(key)
  if (kept.size >= maximumKept) kept.delete(kept.keys().next().value!)
  kept.set(key, entry)
}
