import { wrongUse } from './cli-error.ts'

const unitSeconds: Record<string, number> = { s: 1, m: 60, h: 3600, d: 86_400, w: 604_800 }

/**
 * Whole seconds of a duration as people write it: `45s`, `30m`, `1h`, `90d`, `2w`, `1h30m`; a bare number is seconds.
 * @param what names the option or key in the error
 * @throws CliError exit 2
 */
export function parseDuration(text: string, what: string): number {
  const parts = /^\d{1,12}$/.test(text) ? [`${text}s`] : text.match(/\d{1,12}[smhdw]/g)
  if (!parts || parts.join('').replace(/s$/, '') !== text.replace(/s$/, '')) {
    throw wrongUse(`${what} ${JSON.stringify(text)} is not a duration; write it like 30m, 1h or 90d`)
  }
  const seconds = parts.reduce((sum, part) => sum + Number(part.slice(0, -1)) * unitSeconds[part.slice(-1)]!, 0)
  if (seconds === 0 || !Number.isSafeInteger(seconds)) {
    throw wrongUse(`${what} ${JSON.stringify(text)} must be longer than nothing; write it like 30m, 1h or 90d`)
  }
  return seconds
}

/** The shortest way to write it that `parseDuration` reads back: 3600 is `1h`, 5400 is `1h30m`. */
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
