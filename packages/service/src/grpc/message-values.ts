import type { JsonSchema } from '../document/service-document.ts'

/**
 * A message as JSON has it, for the API's schema: 64-bit integers are numbers where a number can hold them and texts
 * where not, bytes are base64, enums are names. What is not on the wire is not there, and an empty list is there only
 * where the schema requires it.
 */
export function inputOf(message: unknown, schema: JsonSchema | undefined): unknown {
  if (Array.isArray(message)) return message.map((item) => inputOf(item, subschema(schema, 'items')))
  if (typeof message !== 'object' || message === null) return message
  if (isLong(message)) return plainNumber(message)
  const properties = subschema(schema, 'properties')
  const required = Array.isArray(schema?.required) ? schema.required : []
  return Object.fromEntries(
    Object.entries(message)
      .filter(([name, value]) => !isEmptyList(value) || required.includes(name))
      .map(([name, value]) => [name, inputOf(value, subschema(properties, name))]),
  )
}

/** An answer as JSON has it, for actions: with everything in it that the message could say, but for what is unset. */
export function answerOf(message: unknown): unknown {
  if (Array.isArray(message)) return message.map(answerOf)
  if (typeof message !== 'object' || message === null) return message
  if (isLong(message)) return plainNumber(message)
  return Object.fromEntries(
    Object.entries(message)
      .filter(([, value]) => value !== null)
      .map(([name, value]) => [name, answerOf(value)]),
  )
}

/** What a handler or an action gave, as protobuf takes it: no value of a kind that it would read as something else. */
export function messageOf(value: unknown): unknown {
  if (typeof value === 'bigint') return String(value)
  if (value instanceof Date) return value.toISOString()
  if (Array.isArray(value)) return value.map(messageOf)
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return value
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, messageOf(member)]))
}

function subschema(schema: object | undefined, name: string): JsonSchema | undefined {
  if (schema === undefined || !Object.hasOwn(schema, name)) return undefined
  const inner = (schema as Record<string, unknown>)[name]
  return typeof inner === 'object' && inner !== null ? (inner as JsonSchema) : undefined
}

function isEmptyList(value: unknown): boolean {
  return Array.isArray(value) && value.length === 0
}

/** As protobufjs gives 64-bit integers. */
interface Long {
  readonly low: number
  readonly high: number
  readonly unsigned: boolean
}

function isLong(value: object): value is Long {
  return '__isLong__' in value
}

function plainNumber({ low, high, unsigned }: Long): number | string {
  const bits = (BigInt(high) << 32n) | BigInt(low >>> 0)
  const exact = unsigned ? BigInt.asUintN(64, bits) : BigInt.asIntN(64, bits)
  const number = Number(exact)
  return Number.isSafeInteger(number) ? number : String(exact)
}
