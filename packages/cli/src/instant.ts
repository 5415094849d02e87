import { wrongUse } from './cli-error.ts'
import { secondsOf } from './duration.ts'

const rfc3339 = /^\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-]\d{2}:\d{2}))?$/i

/**
 * A point in time as RFC 3339 in UTC, from a time (`2026-03-01T12:00:00Z`), a day (`2026-03-01`, its start in UTC) or
 * a duration (`1h`), which counts back from now where it is of what was, and on where it is of what will be.
 * @throws CliError exit 2
 */
export function parseInstant(
  text: string,
  option: string,
  of: 'past' | 'future' = 'past',
  nowMilliseconds = Date.now(),
): string {
  if (/^(\d+[smhdw])+$/.test(text)) {
    const milliseconds = secondsOf(text, option) * 1000
    return new Date(nowMilliseconds + (of === 'past' ? -milliseconds : milliseconds)).toISOString()
  }
  const time = rfc3339.test(text) ? Date.parse(text) : Number.NaN
  if (Number.isNaN(time)) {
    const meaning = of === 'past' ? 'for an hour ago' : 'for an hour from now'
    throw wrongUse(
      `${option} ${JSON.stringify(text)} is not a time; write it like 2026-03-01T12:00:00Z, 2026-03-01, or 1h ${meaning}`,
    )
  }
  return new Date(time).toISOString()
}

/** Of seconds since the epoch, as the admin API writes times: `2026-03-01T12:00:00Z`. What a token says may be no date. */
export function formatInstant(seconds: number): string {
  const date = new Date(seconds * 1000)
  return Number.isNaN(date.getTime()) ? `${seconds} seconds after 1970` : date.toISOString().replace('.000Z', 'Z')
}
