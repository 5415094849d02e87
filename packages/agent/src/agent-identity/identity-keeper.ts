import { BackOff } from '@countersign/outbound/back-off'
import { reasonOf } from '../agent-error.ts'
import type { AgentLog } from '../agent-log.ts'
import type { Clock } from '../clock.ts'
import type { IdentityStore, StoredIdentity } from './stored-identity.ts'

/** Stores what the agent is, so that no fault of a disk ends what the agent does. */
export interface IdentityKeeper {
  /** What cannot be stored now is stored when there is room, if nothing newer has come by then. */
  keep(stored: StoredIdentity): void
  forget(): void
  stop(): void
}

export function createIdentityKeeper(options: {
  store: IdentityStore | undefined
  clock: Clock
  random: () => number
  log: AgentLog
}): IdentityKeeper {
  const { store, clock, random, log } = options
  const backOff = new BackOff({ firstMilliseconds: 1_000, longestMilliseconds: 60_000, random })
  let failing = false
  let cancelRetry = () => {}

  function keep(stored: StoredIdentity): void {
    cancelRetry()
    try {
      store?.save(stored)
      if (failing) log.info({ spiffe_id: stored.identity.id }, "this agent's identity is stored again")
      failing = false
      backOff.succeeded()
    } catch (error) {
      if (!failing)
        log.error(
          { reason: reasonOf(error), cure: 'make room in the data directory, before this agent is started again' },
          "this agent's identity cannot be stored; it is tried again and again, and until then a restart may need another attestation",
        )
      failing = true
      cancelRetry = clock.after(backOff.failed(), () => keep(stored))
    }
  }

  return {
    keep,
    forget() {
      cancelRetry()
      try {
        store?.remove()
      } catch (error) {
        log.error(
          { reason: reasonOf(error) },
          "this agent's stored identity, which is good for nothing, cannot be removed",
        )
      }
    },
    stop: () => cancelRetry(),
  }
}
