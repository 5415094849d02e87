import { parseDuration } from '@countersign/tokens/duration'
import { wrongUse } from './cli-error.ts'

/**
 * Whole seconds of a duration that is longer than nothing.
 * @param what names the option or key in the error
 * @throws CliError exit 2
 */
export function secondsOf(text: string, what: string): number {
  const seconds = parseDuration(text)
  if (seconds) return seconds
  const fault = seconds === 0 ? 'must be longer than nothing' : 'is not a duration'
  throw wrongUse(`${what} ${JSON.stringify(text)} ${fault}; write it like 30m, 1h or 90d`)
}

/** The shortest way to write it that `secondsOf` reads back: 3600 is `1h`, 5400 is `1h30m`. */
export function formatDuration(seconds: number): string {
  let left = Math.max(0, Math.round(seconds))
  if (left === 0) return '0s'
  let text = ''
  for (const [unit, size] of [
    ['d', 86_400],
    ['h', 3600],
    ['m', 60],
    ['s', 1],
  ] as const) {
    const count = Math.floor(left / size)
    left -= count * size
    if (count > 0) text += `${count}${unit}`
  }
  return text
}

/** For people: the two largest units, `3d4h`, `12m5s`. */
export function roughDuration(seconds: number): string {
  return formatDuration(seconds)
    .match(/\d+[dhms]/g)!
    .slice(0, 2)
    .join('')
}
