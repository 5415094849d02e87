import { Problem } from '../problem.ts'

/** The names and values of a query, as texts. Throws Problem 400 `malformed_query`. */
export function queryOf(url: string): [string, string][] {
  const start = url.indexOf('?')
  if (start === -1) return []
  const query = url.slice(start + 1)
  if (badEscape.test(query)) throw new Problem(400, 'malformed_query', 'the query holds a % that is no escape')
  return pairsOf(query)
}

/** The same of a form's content. */
export function pairsOf(query: string): [string, string][] {
  const pairs = [...new URLSearchParams(query)]
  if (pairs.length > mostPairs)
    throw new Problem(400, 'malformed_query', `a query or form has at most ${mostPairs} names`)
  if (pairs.some(([name]) => name === '__proto__'))
    throw new Problem(400, 'malformed_query', 'a query or form has no name __proto__')
  return pairs
}

/** For edge functions: a name that stands there several times has a list of values. */
export function collected(pairs: readonly (readonly [string, string])[]): Record<string, string | string[]> {
  const values = new Map<string, string | string[]>()
  for (const [name, value] of pairs) {
    const known = values.get(name)
    values.set(name, known === undefined ? value : [known, value].flat())
  }
  return Object.fromEntries(values)
}

const badEscape = /%(?![0-9a-fA-F]{2})/
const mostPairs = 1_000
