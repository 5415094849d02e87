import { closest, distance } from 'fastest-levenshtein'

/** `; did you mean "audience"?` where one of the known names is near enough, else the known ones. */
export function nearest(name: string, known: readonly string[]): string {
  const candidate = closest(name, [...known])
  return distance(name, candidate) <= Math.max(2, candidate.length / 3)
    ? `; did you mean "${candidate}"?`
    : `; known here: ${known.join(', ')}`
}
