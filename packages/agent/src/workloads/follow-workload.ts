import { status } from '@grpc/grpc-js'
import type { AgentLog } from '../agent-log.ts'
import type { Clock } from '../clock.ts'
import type { AuthorizedEntry } from '../entries/authorized-entry.ts'
import { selectorSet } from '../entries/matching.ts'
import type { WorkloadProcess } from '../process/workload-process.ts'
import { asRefusal, CallRefusal, noIdentity } from './call-refusal.ts'
import type { AttestedWorkload, WorkloadIdentities } from './workload-identities.ts'

/** What one message of a stream will say. */
export interface Composed {
  /** Equal for messages that say the same: only a different one is sent. */
  readonly version: string
  /** False while SVIDs of the workload are still to come: the first message waits a little for them. */
  readonly complete: boolean
  /** False when there is nothing at all to send yet. */
  readonly some: boolean
  /** Calls back when the workload has taken it. */
  send(taken: () => void): void
}

export interface FollowOptions {
  readonly identities: WorkloadIdentities
  readonly process: WorkloadProcess
  readonly clock: Clock
  readonly log: AgentLog
  /** @throws CallRefusal to end the stream */
  compose(workload: AttestedWorkload, entries: readonly AuthorizedEntry[]): Composed
  /** The stream is over; nothing is sent after it. */
  end(refusal: CallRefusal): void
}

/** A message with some of the SVIDs is better than none for ever: one entry may not be signed at all. */
const patienceMilliseconds = 3_000
const longestWaitMilliseconds = 10_000

/** A stream to a workload that says at once what the workload has, and again whenever that changes. */
export interface Followed {
  /** Composes anew, for another reason than a change of identities. */
  refresh(): void
  stop(): void
}

/**
 * Attests the workload, and again before each further message, so that nothing goes to a process that is not what it
 * was. A workload that does not read is sent nothing more until it does, and then the newest. Ends with PERMISSION_DENIED
 * when no entry is left, and with UNAVAILABLE when the server gives no SVID in time.
 */
export function followWorkload(options: FollowOptions): Followed {
  const { identities, process, clock, log } = options
  const started = clock.now()
  let workload: AttestedWorkload | undefined
  let sent: string | undefined
  let isTaken = true
  let over = false
  let cancelTimer = () => {}

  const stop = () => {
    over = true
    cancelTimer()
    forgetChanges()
    forgetStop()
  }
  const end = (error: unknown) => {
    if (over) return
    stop()
    options.end(asRefusal(error, log, process))
  }
  const guarded = (step: () => void) => () => {
    if (over || workload === undefined) return
    try {
      step()
    } catch (error) {
      end(error)
    }
  }
  const compose = () => {
    const entries = identities.entriesFor(workload as AttestedWorkload)
    if (entries.length === 0) throw noIdentity()
    return options.compose(workload as AttestedWorkload, entries)
  }
  const send = (composed: Composed) => {
    sent = composed.version
    isTaken = false
    composed.send(() => {
      isTaken = true
      update()
    })
  }
  const update = guarded(() => {
    if (!isTaken) return
    const composed = compose()
    if (composed.version === sent) return
    if (sent === undefined) return first(composed)
    if (composed.some) again()
  })
  const first = (composed: Composed) => {
    cancelTimer()
    const waited = clock.now() - started
    if (composed.some && (composed.complete || waited >= patienceMilliseconds)) return send(composed)
    if (waited >= longestWaitMilliseconds)
      throw new CallRefusal(status.UNAVAILABLE, 'the identity is not there yet; try again')
    const until = composed.some ? patienceMilliseconds : longestWaitMilliseconds
    cancelTimer = clock.after(until - waited, update)
  }
  let attesting = false
  const again = async () => {
    if (attesting) return
    attesting = true
    try {
      workload = better(workload as AttestedWorkload, await identities.attest(process))
      attesting = false
      guarded(() => {
        const composed = compose()
        if (composed.version !== sent && composed.some) send(composed)
      })()
    } catch (error) {
      end(error)
    } finally {
      attesting = false
    }
  }
  const forgetChanges = identities.onChange(update)
  const forgetStop = identities.onStop(() => end(new CallRefusal(status.UNAVAILABLE, 'the agent is stopping')))
  identities.attest(process).then((attested) => {
    workload = attested
    update()
  }, end)
  return { refresh: update, stop }
}

/**
 * A source that cannot be asked for a moment takes nothing from a workload that it spoke for a moment ago; the process
 * itself was checked to be the same. All other sources count as they speak now: a workload can have one of them find
 * nothing, by deleting its program for example.
 */
function better(before: AttestedWorkload, now: AttestedWorkload): AttestedWorkload {
  const silent = new Set(now.problems.map(({ attestor }) => attestor))
  if (silent.size === 0) return now
  // Selectors are of the type that their attestor is called.
  const kept = before.selectors.filter(({ type }) => silent.has(type))
  const selectors = [...now.selectors.filter(({ type }) => !silent.has(type)), ...kept]
  return { ...now, selectors, selectorSet: selectorSet(selectors) }
}
