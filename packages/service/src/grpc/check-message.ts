import protobuf from 'protobufjs'

/**
 * What of a value does not fit a message, as a sentence; undefined where all does. protobufjs itself would turn `"many"`
 * into 0, and drop what it has no field for.
 * @param path what to call the value
 */
export function faultOf(
  value: unknown,
  type: protobuf.Type,
  { refuseUnknown }: { refuseUnknown: boolean },
  path = '',
): string | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return `${path || 'it'} is no object`
  for (const [name, member] of Object.entries(value)) {
    const field = Object.hasOwn(type.fields, name) ? type.fields[name]! : undefined
    const place = path === '' ? name : `${path}.${name}`
    if (field === undefined) {
      if (refuseUnknown) return `the message ${type.name} has no field ${place}`
      continue
    }
    if (member === undefined || member === null) continue
    for (const each of valuesOf(member, field)) {
      if (each === misshaped) return `${place} is no ${field.map ? 'map' : 'list'}`
      const fault = fieldFault(each, field, refuseUnknown, place)
      if (fault !== undefined) return fault
    }
  }
  return undefined
}

const misshaped = Symbol('misshaped')

function valuesOf(value: unknown, field: protobuf.Field): readonly unknown[] {
  if (field.map)
    return typeof value === 'object' && !Array.isArray(value) ? Object.values(value as object) : [misshaped]
  if (field.repeated) return Array.isArray(value) ? value : [misshaped]
  return [value]
}

function fieldFault(value: unknown, field: protobuf.Field, refuseUnknown: boolean, path: string): string | undefined {
  const { resolvedType, type } = field
  if (resolvedType instanceof protobuf.Type) return faultOf(value, resolvedType, { refuseUnknown }, path)
  if (resolvedType instanceof protobuf.Enum) {
    return isEnumValue(value, resolvedType) ? undefined : `${path} is no value of ${resolvedType.name}`
  }
  return scalarFits(value, type) ? undefined : `${path} is no ${type}`
}

function isEnumValue(value: unknown, { values }: protobuf.Enum): boolean {
  return typeof value === 'string' ? Object.hasOwn(values, value) : isInteger(value, -(2n ** 31n), 2n ** 31n - 1n)
}

function scalarFits(value: unknown, type: string): boolean {
  switch (type) {
    case 'string':
      return typeof value === 'string'
    case 'bool':
      return typeof value === 'boolean'
    case 'bytes':
      return value instanceof Uint8Array || (typeof value === 'string' && /^[A-Za-z0-9+/]*={0,2}$/.test(value))
    case 'double':
    case 'float':
      return typeof value === 'number'
    case 'int32':
    case 'sint32':
    case 'sfixed32':
      return isInteger(value, -(2n ** 31n), 2n ** 31n - 1n)
    case 'uint32':
    case 'fixed32':
      return isInteger(value, 0n, 2n ** 32n - 1n)
    case 'int64':
    case 'sint64':
    case 'sfixed64':
      return isInteger(value, -(2n ** 63n), 2n ** 63n - 1n)
    default:
      return isInteger(value, 0n, 2n ** 64n - 1n)
  }
}

/** A text of digits too, which is how JSON holds large ones. */
function isInteger(value: unknown, least: bigint, most: bigint): boolean {
  if (typeof value === 'string' ? !/^-?\d{1,20}$/.test(value) : !Number.isSafeInteger(value)) return false
  const number = BigInt(value as string | number)
  return number >= least && number <= most
}
