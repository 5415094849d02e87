/** What expressions work with: what JSON can say, and `undefined`. */
export type Data = undefined | null | boolean | number | string | readonly Data[] | { readonly [name: string]: Data }

const deniedNames = new Set(['__proto__', 'prototype', 'constructor'])

/** Names that lead from data to what made it. */
export function isDeniedName(name: string): boolean {
  return deniedNames.has(name)
}

/**
 * A member of a value, if the value itself holds it as data: of texts and arrays the items and `length`, of objects
 * their own enumerable members that no getter computes. Anything else is undefined.
 */
export function ownMember(value: Data, name: string): Data {
  if (typeof value === 'string') return name === 'length' || isIndex(name) ? value[name as 'length'] : undefined
  if (typeof value !== 'object' || value === null) return undefined
  if (Array.isArray(value)) {
    if (name === 'length') return value.length
    if (!isIndex(name)) return undefined
  }
  const member = Object.getOwnPropertyDescriptor(value, name)
  return member?.enumerable && 'value' in member ? asData(member.value) : undefined
}

/** Names and values of an object's own data, denied names included. */
export function ownMembers(value: object): [string, Data][] {
  return Object.keys(value).map((name) => [name, ownMember(value as Data, name)])
}

export function ownItems(value: readonly Data[]): Data[] {
  return Array.from({ length: value.length }, (_, index) => ownMember(value, String(index)))
}

/**
 * A value as JSON would show it: dates and the like as text, functions not at all, integers beyond 2^53 and bytes as
 * protobuf's JSON has them (decimal text, base64). Members stay as they are.
 */
export function asData(value: unknown): Data {
  switch (typeof value) {
    case 'bigint':
      return String(value)
    case 'function':
    case 'symbol':
      return undefined
    case 'object':
      return objectAsData(value)
    default:
      return value as Data
  }
}

function objectAsData(value: object | null): Data {
  if (value === null || Array.isArray(value)) return value
  if (value instanceof Uint8Array) return Buffer.from(value).toString('base64')
  if (isPlain(value) || !('toJSON' in value) || typeof value.toJSON !== 'function') return value as Data
  const shown: unknown = value.toJSON()
  return typeof shown === 'object' ? (shown as Data) : asData(shown)
}

function isPlain(value: object): boolean {
  const prototype = Object.getPrototypeOf(value)
  return prototype === null || prototype === Object.prototype
}

function isIndex(name: string): boolean {
  return /^(?:0|[1-9]\d{0,9})$/.test(name)
}
