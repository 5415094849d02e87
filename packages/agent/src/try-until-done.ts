import { BackOff } from '@countersign/outbound/back-off'
import { reasonOf } from './agent-error.ts'
import type { AgentLog } from './agent-log.ts'
import { type Clock, pause } from './clock.ts'

/** What attempts need, and what ends them. */
export interface Attempts {
  readonly clock: Clock
  readonly random: () => number
  readonly log: AgentLog
  readonly signal: AbortSignal
}

/**
 * Tries a step until it works, at growing intervals.
 * @param failure what the log says of each try that failed
 * @param isSettled whether a failure is dealt with, so that nothing more is to be tried; what it throws is thrown
 */
export async function tryUntilDone(
  { clock, random, log, signal }: Attempts,
  failure: string,
  step: () => Promise<void>,
  isSettled: (error: unknown) => boolean | Promise<boolean>,
): Promise<void> {
  const backOff = new BackOff({ firstMilliseconds: 1_000, longestMilliseconds: 30_000, random })
  while (!signal.aborted) {
    try {
      return await step()
    } catch (error) {
      if (await isSettled(error)) return
      const waitMilliseconds = backOff.failed()
      log.warn({ reason: reasonOf(error), retry_in_ms: waitMilliseconds }, failure)
      await pause(clock, waitMilliseconds, signal)
    }
  }
}
