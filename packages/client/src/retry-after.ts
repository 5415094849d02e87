const maximumSeconds = 86_400

/**
 * Seconds that a server asks to be left alone (RFC 9110 section 10.2.3), from 0 to a day; undefined where it
 * does not say. A date is read against the server's own `Date`, so that a clock that is off does no harm.
 */
export function retryAfterSeconds(headers: Headers, nowMilliseconds: number): number | undefined {
  const value = headers.get('retry-after')?.trim()
  if (value === undefined) return undefined
  if (/^\d+$/.test(value)) return Math.min(Number(value), maximumSeconds)
  const until = parseHttpDate(value)
  if (until === undefined) return undefined
  const now = parseHttpDate(headers.get('date') ?? '') ?? nowMilliseconds
  return Math.min(Math.max(Math.ceil((until - now) / 1000), 0), maximumSeconds)
}

/** `Sun, 06 Nov 1994 08:49:37 GMT`, and nothing else that Date.parse would take. */
function parseHttpDate(text: string): number | undefined {
  if (!/^[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT$/.test(text)) return undefined
  const time = Date.parse(text)
  return Number.isNaN(time) ? undefined : time
}
