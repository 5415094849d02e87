import { wrongUse } from './cli-error.ts'
import { parseDuration } from './duration.ts'

const rfc3339 = /^\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-]\d{2}:\d{2}))?$/i

/**
 * A point in time as RFC 3339 in UTC, from a time (`2026-03-01T12:00:00Z`), a day (`2026-03-01`, its start in UTC) or
 * a duration, which counts back from now (`1h`).
 * @throws CliError exit 2
 */
export function parseInstant(text: string, option: string, nowMilliseconds = Date.now()): string {
  if (/^(\d+[smhdw])+$/.test(text)) return new Date(nowMilliseconds - parseDuration(text, option) * 1000).toISOString()
  const time = rfc3339.test(text) ? Date.parse(text) : Number.NaN
  if (Number.isNaN(time)) {
    throw wrongUse(
      `${option} ${JSON.stringify(text)} is not a time; write it like 2026-03-01T12:00:00Z, 2026-03-01, or 1h for an hour ago`,
    )
  }
  return new Date(time).toISOString()
}
