import type { Bundle } from '../bundles/bundle.ts'
import { quoted, SpiffeError } from '../spiffe-error.ts'
import type { X509Svid } from '../svids/x509-svid.ts'
import { replaceBundles, type TrustBundles } from './received-bundles.ts'
import { warnOnce } from './warn-once.ts'
import { createWorkloadApi, type WorkloadApi } from './workload-api.ts'
import type { X509Context } from './x509-context.ts'

export interface X509SourceOptions {
  workloadApi?: WorkloadApi
  /** Where the Workload API is, when none is given: as in `createWorkloadApi`. */
  socket?: string
  /** Which of several identities to be. Default: the first. */
  pick?: (svids: readonly X509Svid[]) => X509Svid | undefined
  /** Hears of every failure, while the source goes on trying. Default: one process warning for each kind. */
  onError?: (error: SpiffeError) => void
  /** Seconds an identity is kept after the agent began to say that there is none: long enough for its restart. Default 10. */
  withdrawalGraceSeconds?: number
  /** Milliseconds since the epoch; for tests. */
  now?: () => number
}

/** One's own X.509 identity and the bundles of those one may believe, both always the newest that the agent has sent. */
export interface X509Source {
  /** Resolves when there is an identity, however long that takes. */
  readonly ready: Promise<void>
  /** @throws SpiffeError `unavailable` before `ready`, `expired_svid`, `no_identity` when it was withdrawn */
  svid(): X509Svid
  /** Always as the agent sent them last; may be handed on once for all. */
  readonly bundles: TrustBundles
  /** `listener` is called after every change of the SVID or the bundles; call what it returns to end that. */
  onUpdate(listener: () => void): () => void
  close(): void
  [Symbol.dispose](): void
}

/**
 * Follows the Workload API: a new SVID is here as soon as the agent has one. While the agent is away the last one is kept
 * until it expires.
 *
 * @throws SpiffeError `invalid_configuration` when the socket's address is not one
 */
export function createX509Source(options: X509SourceOptions = {}): X509Source {
  const workloadApi = options.workloadApi ?? createWorkloadApi({ socket: options.socket })
  const pick = options.pick ?? ((svids) => svids[0])
  const onError = options.onError ?? warnOnce()
  const now = options.now ?? Date.now
  const withdrawalGraceMilliseconds = (options.withdrawalGraceSeconds ?? 10) * 1000
  const listeners = new Set<() => void>()
  const { promise: ready, resolve: isReady } = Promise.withResolvers<void>()
  const bundles = new Map<string, Bundle>()
  let current: X509Svid | undefined
  let absent = new SpiffeError('unavailable', 'the Workload API has not answered yet; await source.ready first')
  let deniedAt: number | undefined

  const end = workloadApi.watchX509Context(
    (context) => {
      current = picked(context, pick)
      replaceBundles(bundles, context.bundles)
      deniedAt = undefined
      isReady()
      changed()
    },
    (error) => {
      onError(error)
      if (error.code !== 'no_identity') deniedAt = undefined
      else if (current !== undefined) withdraw(error)
    },
  )

  /** Each message of the Workload API is complete, so "no identity" takes the one we have: but not at a mere restart. */
  function withdraw(error: SpiffeError) {
    deniedAt ??= now()
    if (now() - deniedAt < withdrawalGraceMilliseconds) return
    current = undefined
    absent = error
    changed()
  }

  function changed() {
    for (const listener of listeners) listener()
  }

  function close() {
    end()
    listeners.clear()
    if (options.workloadApi === undefined) workloadApi.close()
  }

  return {
    ready,
    svid() {
      if (current === undefined) throw absent
      if (current.expiresAt * 1000 <= now()) throw expired(current)
      return current
    },
    bundles,
    onUpdate(listener) {
      // A function of its own, so that the same listener may be added twice.
      const added = () => listener()
      listeners.add(added)
      return () => listeners.delete(added)
    },
    close,
    [Symbol.dispose]: close,
  }
}

function picked({ svids }: X509Context, pick: NonNullable<X509SourceOptions['pick']>): X509Svid {
  const svid = pick(svids)
  if (svid !== undefined) return svid
  const offered = svids.map(({ id, hint }) => (hint === '' ? `${id}` : `${id} (hint ${quoted(hint)})`)).join(', ')
  throw new SpiffeError('invalid_configuration', `\`pick\` chose none of the identities of this process: ${offered}`)
}

function expired(svid: X509Svid): SpiffeError {
  const at = new Date(svid.expiresAt * 1000).toISOString()
  return new SpiffeError(
    'expired_svid',
    `the X.509-SVID of ${svid.id} expired at ${at} and the agent has sent no newer one`,
  )
}
