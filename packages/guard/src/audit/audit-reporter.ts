import { GuardConfigurationError } from '../guard-error.ts'
import type { ServiceTokenValidation } from '../service-token/validation.ts'
import { type AuditEvent, auditEventOf, unreported } from './audit-event.ts'

export interface AuditReporterOptions {
  /** The server, such as `https://auth.example.com/`. */
  readonly url: string
  /** Attaches an access token with the scope `audit:write`, as the `fetch` of @countersign/client does. */
  readonly fetch: typeof fetch
  /** Who reports: the name of this service. */
  readonly service: string
  /** How long events are gathered. Default 1,000. */
  readonly gatherMilliseconds?: number
  /** The most different events that wait to be sent. Default 1,000. */
  readonly maximumWaiting?: number
  /** Hears, once per outage, why events could not be sent. */
  readonly onProblem?: (message: string) => void
}

/** Give it to a verifier as `onValidation`. */
export interface AuditReporter {
  (event: ServiceTokenValidation): void
  /** How many failures were not reported, and never will be. */
  readonly dropped: number
  /** Sends what waits, once, and ends. */
  close(): Promise<void>
}

/**
 * Reports the service tokens that did not pass to the server's audit trail (`POST /api/v1/audit-events`), in batches and
 * never in the way of a call. Failures of one kind within a batch become one event with a count; what is more than can
 * wait is dropped, and the number of it reported.
 */
export function createAuditReporter(options: AuditReporterOptions): AuditReporter {
  const { service, gatherMilliseconds = 1_000, maximumWaiting = 1_000, onProblem = () => {} } = options
  const endpoint = endpointAt(options.url)
  const waiting = new Map<string, AuditEvent>()
  let dropped = 0
  let droppedUntold = 0
  let failures = 0
  let timer: NodeJS.Timeout | undefined
  let sending: Promise<void> | undefined
  let closed = false

  function take(validation: ServiceTokenValidation): void {
    if (validation.outcome === 'accepted' || closed) return
    const isCrowded = waiting.size >= maximumWaiting / 2
    const whole = auditEventOf(validation, service)
    const event = isCrowded && validation.sender === undefined ? withoutClaims(whole) : whole
    const key = JSON.stringify({ ...event, jti: undefined })
    const same = waiting.get(key)
    if (same !== undefined) {
      waiting.set(key, { ...same, count: (same.count ?? 1) + 1, jti: undefined })
    } else if (waiting.size < maximumWaiting) {
      waiting.set(key, event)
    } else {
      drop(1)
    }
    schedule()
  }

  function drop(count: number): void {
    dropped += count
    droppedUntold += count
  }

  function schedule(): void {
    if (timer !== undefined || sending !== undefined || closed) return
    const pause = failures === 0 ? gatherMilliseconds : Math.min(60_000, gatherMilliseconds * 2 ** failures)
    timer = setTimeout(() => {
      timer = undefined
      void send().then(() => {
        if (waiting.size > 0) schedule()
      })
    }, pause)
    timer.unref()
  }

  function send(): Promise<void> {
    sending ??= sendBatch().finally(() => {
      sending = undefined
    })
    return sending
  }

  async function sendBatch(): Promise<void> {
    const told = droppedUntold
    const batch = [...waiting].slice(0, told > 0 ? mostInBatch - 1 : mostInBatch)
    if (batch.length === 0 && told === 0) return
    for (const [key] of batch) waiting.delete(key)
    const events = batch.map(([, event]) => event)
    if (told > 0) events.push(unreported(told, service))
    const outcome = await post(events)
    if (outcome === 'taken') droppedUntold -= told
    if (outcome === 'refused') drop(events.reduce((sum, { count = 1 }) => sum + count, 0) - told)
    if (outcome === 'away') putBack(batch)
    failures = outcome === 'away' ? failures + 1 : 0
  }

  function putBack(batch: readonly (readonly [string, AuditEvent])[]): void {
    for (const [key, event] of batch) {
      const since = waiting.get(key)
      if (since !== undefined) waiting.set(key, { ...since, count: (since.count ?? 1) + (event.count ?? 1) })
      else if (waiting.size < maximumWaiting) waiting.set(key, event)
      else drop(event.count ?? 1)
    }
  }

  async function post(events: readonly AuditEvent[]): Promise<'taken' | 'refused' | 'away'> {
    try {
      const answer = await options.fetch(endpoint, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ events }),
        signal: AbortSignal.timeout(10_000),
      })
      await answer.body?.cancel()
      if (answer.ok) return 'taken'
      const isForLater = answer.status >= 500 || answer.status === 429
      if (!isForLater || failures === 0) onProblem(`the audit trail answered ${answer.status} to a report of refusals`)
      return isForLater ? 'away' : 'refused'
    } catch {
      if (failures === 0) onProblem('the audit trail cannot be reached; refusals wait to be reported')
      return 'away'
    }
  }

  return Object.defineProperty(
    Object.assign(take, {
      dropped,
      async close() {
        closed = true
        clearTimeout(timer)
        await sending
        while (waiting.size > 0) {
          await send()
          if (failures > 0) return drop(totalOf(waiting))
        }
      },
    }),
    'dropped',
    { get: () => dropped },
  )
}

/** What strangers can make up without end must not take the room of those who are proven. */
function withoutClaims({ client_id: _, target: __, jti: ___, ...event }: AuditEvent): AuditEvent {
  return event
}

const mostInBatch = 100

function totalOf(waiting: Map<string, AuditEvent>): number {
  const total = [...waiting.values()].reduce((sum, { count = 1 }) => sum + count, 0)
  waiting.clear()
  return total
}

function endpointAt(url: string): string {
  const base = URL.parse(url)
  if (base === null || !/^https?:$/.test(base.protocol)) {
    throw new GuardConfigurationError('"url" must be the URL of the server whose audit trail hears of refusals')
  }
  return new URL('api/v1/audit-events', base.href.endsWith('/') ? base : `${base.href}/`).href
}
