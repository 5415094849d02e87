const unitSeconds: Record<string, number> = { s: 1, m: 60, h: 3600, d: 86_400, w: 604_800 }

/**
 * Whole seconds of a duration as people write it: `45s`, `30m`, `1h30m`, `90d`, `2w`; a bare number is seconds.
 * @returns undefined for what is none
 */
export function parseDuration(text: string): number | undefined {
  if (!/^(\d{1,12}|(\d{1,12}[smhdw])+)$/.test(text)) return undefined
  const parts = text.match(/\d+[smhdw]?/g) ?? []
  const seconds = parts.reduce((sum, part) => sum + Number.parseInt(part, 10) * (unitSeconds[part.at(-1)!] ?? 1), 0)
  return Number.isSafeInteger(seconds) ? seconds : undefined
}
