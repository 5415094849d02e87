import { isUtf8 } from 'node:buffer'
import { TokenError } from '../token-error.ts'
import { countMembersInText, hasInexactInteger } from './json-text.ts'

export interface JsonLimits {
  /** Longest text, in bytes of UTF-8; for a string input in UTF-16 units. Default 1 MiB. */
  maximumBytes?: number
  /** Deepest nesting of arrays and objects. Default 64. */
  maximumDepth?: number
  /** Refuse integer literals that a double cannot hold exactly, such as 9007199254740993. Default false. */
  exactIntegers?: boolean
}

/**
 * JSON as tokens and keys need it (RFC 8259, RFC 7493): valid UTF-8 without a byte order mark, no member name twice in
 * an object, no number beyond the range of a double, no lone surrogate, no member called `__proto__`, bounded size and
 * depth. Throws `malformed_json`.
 */
export function parseJson(input: Buffer | string, limits: JsonLimits = {}): unknown {
  if (input.length > (limits.maximumBytes ?? 1_048_576)) throw malformed('too large')
  const text = typeof input === 'string' ? input : decodeUtf8(input)
  const value = parse(text)
  if (limits.exactIntegers && hasInexactInteger(text)) throw malformed('an integer is too large to be exact')
  const mayHoldSurrogates = typeof input === 'string' || text.includes('\\u')
  const members = countMembers(value, limits.maximumDepth ?? 64, mayHoldSurrogates)
  // Every member in the text must have survived into the value; one that was given twice did not.
  if (members !== countMembersInText(text)) throw malformed('a member name is repeated')
  return value
}

function decodeUtf8(bytes: Buffer): string {
  const text = bytes.toString('utf8')
  // What is not UTF-8 comes out as U+FFFD, which may also have been in the text.
  if (text.includes('\ufffd') && !isUtf8(bytes)) throw malformed('not UTF-8')
  return text
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    // The parser's own message quotes the text, which may be a secret.
    throw malformed('not JSON')
  }
}

/** Counts the members of all objects in a parsed value, and refuses what a token must not hold. */
function countMembers(value: unknown, depthLeft: number, mayHoldSurrogates: boolean): number {
  if (typeof value === 'string') {
    if (mayHoldSurrogates) checkSurrogates(value)
    return 0
  }
  if (typeof value === 'number') {
    if (!Number.isFinite(value)) throw malformed('a number is out of range')
    return 0
  }
  if (typeof value !== 'object' || value === null) return 0
  if (depthLeft === 0) throw malformed('nested too deeply')
  let count = 0
  if (Array.isArray(value)) {
    for (const item of value) count += countMembers(item, depthLeft - 1, mayHoldSurrogates)
    return count
  }
  for (const name of Object.keys(value)) {
    // It would set the prototype of whatever the members are copied to.
    if (name === '__proto__') throw malformed('a member is called __proto__')
    if (mayHoldSurrogates) checkSurrogates(name)
    count += 1 + countMembers((value as Record<string, unknown>)[name], depthLeft - 1, mayHoldSurrogates)
  }
  return count
}

function checkSurrogates(text: string): void {
  if (!text.isWellFormed()) throw malformed('a string holds a lone surrogate')
}

function malformed(why: string): TokenError {
  return new TokenError('malformed_json', `the JSON text is refused: ${why}`)
}
