import { Problem } from '../problem.ts'

/** The names and values of a query, as texts. Throws Problem 400 `malformed_query`. */
export function queryOf(url: string): [string, string][] {
  const start = url.indexOf('?')
  if (start === -1) return []
  const query = url.slice(start + 1)
  if (badEscape.test(query)) throw new Problem(400, 'malformed_query', 'the query holds a % that is no escape')
  const pairs = [...new URLSearchParams(query)]
  if (pairs.length > mostPairs) throw new Problem(400, 'malformed_query', `the query has more than ${mostPairs} names`)
  if (pairs.some(([name]) => name === '__proto__'))
    throw new Problem(400, 'malformed_query', 'the query has a name that is not allowed: __proto__')
  return pairs
}

/** For edge functions: a name that stands there several times has a list of values. */
export function collected(pairs: readonly (readonly [string, string])[]): Record<string, string | string[]> {
  const values: Record<string, string | string[]> = Object.create(null)
  for (const [name, value] of pairs) {
    const known = values[name]
    values[name] = known === undefined ? value : [known, value].flat()
  }
  return values
}

const badEscape = /%(?![0-9a-fA-F]{2})/
const mostPairs = 1_000
