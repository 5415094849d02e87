import type { AgentLog } from './agent-log.ts'
import type { Clock } from './clock.ts'

const mostOfOne = 20
const periodMilliseconds = 60_000

/**
 * A log for what any local user can cause: each message at most twenty times a minute. How often it was left out is told
 * with the next one, as `left_out`.
 */
export function quietLog(log: AgentLog, clock: Clock): AgentLog {
  const counts = new Map<string, { since: number; told: number; leftOut: number }>()
  const quiet = (level: keyof AgentLog) => (fields: object, message: string) => {
    const now = clock.now()
    let count = counts.get(message)
    if (count === undefined || Math.abs(now - count.since) >= periodMilliseconds) {
      count = { since: now, told: 0, leftOut: count?.leftOut ?? 0 }
      counts.set(message, count)
    }
    if (count.told >= mostOfOne) {
      count.leftOut += 1
      return
    }
    count.told += 1
    log[level](count.leftOut > 0 ? { ...fields, left_out: count.leftOut } : fields, message)
    count.leftOut = 0
  }
  return { info: quiet('info'), warn: quiet('warn'), error: quiet('error') }
}
