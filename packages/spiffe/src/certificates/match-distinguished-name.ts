import { SpiffeError } from '../spiffe-error.ts'
import { oidOfShortName, readDistinguishedName } from './distinguished-name.ts'

/**
 * Whether the DER of a name is the name in an RFC 4514 text (`CN=orders,O=Example`): part by part, in the same order,
 * the attributes of a part in any order. Types are compared as what they are (`cn`, `CN` and `2.5.4.3` are one), values
 * character by character. Throws `invalid_configuration` for a text that is no such name.
 */
export function matchesDistinguishedName(nameDer: Buffer, text: string): boolean {
  const expected = parse(text)
  const actual = readDistinguishedName(nameDer).toReversed()
  if (actual.length !== expected.length) return false
  return expected.every((attributes, index) => {
    const own = actual[index]!
    if (own.length !== attributes.length) return false
    return attributes.every(({ type, value }) =>
      own.some(
        (one) => one.type === type && (Buffer.isBuffer(value) ? one.valueDer.equals(value) : one.text === value),
      ),
    )
  })
}

/** Throws `invalid_configuration` unless the text is a name as RFC 4514 writes it. */
export function checkDistinguishedName(text: string): void {
  parse(text)
}

interface Attribute {
  readonly type: string
  /** Bytes where it is written in hex (section 2.4) */
  readonly value: string | Buffer
}

const longestText = 4096

function parse(text: string): Attribute[][] {
  if (text.trim() === '') throw invalid('it is empty')
  if (text.length > longestText) throw invalid(`it has more than ${longestText} characters`)
  return split(text, ',').map((part) => split(part, '+').map(parseAttribute))
}

/** At separators that are not escaped. */
function split(text: string, separator: string): string[] {
  const parts: string[] = []
  let start = 0
  for (let index = 0; index < text.length; index++) {
    if (text[index] === '\\') index++
    else if (text[index] === separator) {
      parts.push(text.slice(start, index))
      start = index + 1
    }
  }
  return [...parts, text.slice(start)]
}

function parseAttribute(text: string): Attribute {
  const equals = text.indexOf('=')
  const name = text.slice(0, Math.max(0, equals)).trim()
  const type = /^\d+(\.\d+)+$/.test(name) ? name : oidOfShortName(name)
  if (type === undefined)
    throw invalid(`"${name.slice(0, 40)}" is no type of attribute that is known here; write its OID`)
  const value = trimmed(text.slice(equals + 1))
  if (!value.startsWith('#')) return { type, value: unescaped(value) }
  const hex = value.slice(1)
  if (!/^([0-9A-Fa-f]{2})+$/.test(hex)) throw invalid('a value after # is not in hex')
  return { type, value: Buffer.from(hex, 'hex') }
}

/** Spaces around a value do not count unless the last is escaped. */
function trimmed(value: string): string {
  const text = value.trimStart()
  const end = text.trimEnd()
  const isEscaped = text.length > end.length && /(^|[^\\])(\\\\)*\\$/.test(end)
  return isEscaped ? `${end} ` : end
}

/** Section 2.4: a backslash before a special character, or before two hex digits of a byte of UTF-8. */
function unescaped(value: string): string {
  const bytes: Buffer[] = []
  for (let index = 0; index < value.length; ) {
    const hex = /^\\([0-9A-Fa-f]{2})/.exec(value.slice(index, index + 3))
    if (hex) {
      bytes.push(Buffer.from(hex[1]!, 'hex'))
      index += 3
    } else if (value[index] === '\\') {
      const next = value[index + 1]
      if (next === undefined || !/[ "#+,;<=>\\]/.test(next)) throw invalid('a backslash escapes nothing')
      bytes.push(Buffer.from(next))
      index += 2
    } else {
      const character = String.fromCodePoint(value.codePointAt(index)!)
      if (/["+,;<>]/.test(character)) throw invalid(`${character} must be escaped with a backslash`)
      bytes.push(Buffer.from(character))
      index += character.length
    }
  }
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(Buffer.concat(bytes))
  } catch {
    throw invalid('it is not UTF-8')
  }
}

function invalid(why: string): SpiffeError {
  return new SpiffeError(
    'invalid_configuration',
    `the name is refused: ${why}; write it as RFC 4514 does, such as CN=orders,O=Example (openssl x509 -noout -subject -nameopt RFC2253)`,
  )
}
