import { closest, distance } from 'fastest-levenshtein'

/** `; did you mean "x"?` where a name is close enough to one that there is, else nothing. */
export function didYouMean(name: string, known: readonly string[]): string {
  if (known.length === 0) return ''
  const lowered = known.map((one) => one.toLowerCase())
  const nearest = closest(name.toLowerCase(), lowered)
  if (distance(name.toLowerCase(), nearest) > Math.max(2, name.length / 3)) return ''
  return `; did you mean "${known[lowered.indexOf(nearest)]}"?`
}
