const unitSeconds: Record<string, number> = { s: 1, m: 60, h: 3600, d: 86_400 }

/**
 * Reads a duration such as `90d`, `1h`, `30m`, `45s`, or bare seconds.
 * @returns whole seconds, or undefined when the text is none
 */
export function parseDuration(text: string | number): number | undefined {
  const match = /^(\d{1,9})([smhd]?)$/.exec(String(text).trim())
  if (!match) return undefined
  return Number(match[1]) * (unitSeconds[match[2] || 's'] as number)
}
