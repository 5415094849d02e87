import { TokenError } from '../token-error.ts'

const deepest = 64

/**
 * The canonical JSON text of a value (RFC 8785): members sorted by UTF-16 unit, numbers as ECMAScript writes them,
 * no whitespace, no Unicode normalisation. Otherwise the value is seen as JSON.stringify sees it: members that are
 * undefined are left out, `toJSON` is honoured. Throws `malformed_json` for what has no canonical form: NaN and
 * infinities, lone surrogates, bigints, functions, cycles and nesting deeper than 64.
 */
export function canonicalJson(value: unknown): string {
  const text = write(value, deepest)
  if (text === undefined) throw refused(`${typeof value} is not a JSON value`)
  return text
}

function write(given: unknown, depthLeft: number): string | undefined {
  const value = hasToJson(given) ? given.toJSON() : given
  switch (typeof value) {
    case 'string':
      return quoted(value)
    case 'number':
      if (!Number.isFinite(value)) throw refused('a number is not finite')
      return Object.is(value, -0) ? '0' : String(value)
    case 'boolean':
      return value ? 'true' : 'false'
    case 'undefined':
      return undefined
    case 'object':
      if (value === null) return 'null'
      if (depthLeft === 0) throw refused('nested too deeply, or a cycle')
      return Array.isArray(value) ? writeArray(value, depthLeft - 1) : writeObject(value, depthLeft - 1)
    default:
      throw refused(`${typeof value} is not a JSON value`)
  }
}

function writeArray(items: readonly unknown[], depthLeft: number): string {
  let text = ''
  for (let index = 0; index < items.length; index += 1) {
    text += `${index === 0 ? '' : ','}${write(items[index], depthLeft) ?? 'null'}`
  }
  return `[${text}]`
}

function writeObject(members: object, depthLeft: number): string {
  let text = ''
  // The default order of sort() is by UTF-16 unit, as section 3.2.3 wants it.
  for (const name of Object.keys(members).sort()) {
    const member = write((members as Record<string, unknown>)[name], depthLeft)
    if (member === undefined) continue
    text += `${text === '' ? '' : ','}${quoted(name)}:${member}`
  }
  return `{${text}}`
}

/** Most strings have nothing to escape, and then quotes around them are all it takes. */
function quoted(text: string): string {
  if (plain.test(text)) return `"${text}"`
  if (!text.isWellFormed()) throw refused('a string holds a lone surrogate')
  return JSON.stringify(text)
}

const plain = /^[ !#-[\]-~]*$/

function hasToJson(value: unknown): value is { toJSON(): unknown } {
  return typeof value === 'object' && value !== null && typeof (value as { toJSON?: unknown }).toJSON === 'function'
}

function refused(why: string): TokenError {
  return new TokenError('malformed_json', `the value has no canonical JSON: ${why}`)
}
