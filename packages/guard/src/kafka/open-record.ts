import {
  parseJson,
  parseTokenMessage,
  serviceTokenFields,
  serviceTokenHeaders,
  withoutTokenFields,
} from '@countersign/tokens'
import { payloadHeaders } from '../service-token/inbound-payload.ts'
import type { KafkaRecord, RecordHeader } from './kafka-record.ts'

/** A record taken apart, before anything in it is believed. */
export interface OpenedRecord {
  /** Without token, and without what only the guard may say (`m2mPayload`). */
  readonly record: KafkaRecord
  /** The value, where it is a JSON object; without token fields. */
  readonly payload: Readonly<Record<string, unknown>> | undefined
  /** Undefined when there is no token; `unusable` when there are several, or what stands in its place is none. */
  readonly token: RecordToken | 'unusable' | undefined
}

export interface RecordToken {
  readonly text: string
  readonly carrier: 'header' | 'payload'
}

/**
 * Takes the token out of a record: from the header `m2m-token` or `x-m2m-token`, or from the fields `M2MToken` or
 * `m2mToken` of a message that is a JSON object.
 */
export function openRecord(given: KafkaRecord): OpenedRecord {
  const { headers, tokens: fromHeaders } = takeFromHeaders(given.headers)
  const { value, payload, tokens: fromPayload } = takeFromValue(given.value)
  const record = { ...given, headers, value }
  const tokens = [...fromHeaders, ...fromPayload]
  if (tokens.length === 0) return { record, payload, token: undefined }
  const [text] = tokens
  if (tokens.length > 1 || typeof text !== 'string') return { record, payload, token: 'unusable' }
  return { record, payload, token: { text, carrier: fromHeaders.length === 1 ? 'header' : 'payload' } }
}

export const tokenHeaders: ReadonlySet<string> = new Set(serviceTokenHeaders)
const ownHeaders: ReadonlySet<string> = new Set(payloadHeaders)
const ownField = 'm2mPayload'

function takeFromHeaders(all: readonly RecordHeader[]): { headers: readonly RecordHeader[]; tokens: unknown[] } {
  const headers: RecordHeader[] = []
  const tokens: unknown[] = []
  for (const header of all) {
    const name = header[0].toLowerCase()
    if (tokenHeaders.has(name)) tokens.push(header[1]?.toString('latin1'))
    else if (!ownHeaders.has(name)) headers.push(header)
  }
  return { headers, tokens }
}

interface TakenValue {
  value: Buffer | null
  payload: Readonly<Record<string, unknown>> | undefined
  tokens: unknown[]
}

function takeFromValue(value: Buffer | null): TakenValue {
  const object = value === null ? undefined : readObject(value)
  if (object === undefined) return { value, payload: undefined, tokens: [] }
  const { members, isStrict } = object
  const fields = serviceTokenFields.filter((name) => Object.hasOwn(members, name))
  const payload = withoutTokenFields(members) as Record<string, unknown>
  const isTouched = fields.length > 0 || Object.hasOwn(members, ownField)
  return {
    // What a handler parses by itself must hold no more than what the guard hands over.
    value: isTouched ? (attempt(() => Buffer.from(JSON.stringify(payload))) ?? tooDeep) : value,
    payload: isStrict ? payload : undefined,
    // Readers may differ over what another text says, so nothing that stands in it was signed.
    tokens: fields.map((name) => (isSignable(value!) ? members[name] : undefined)),
  }
}

/** What is nested so deeply that it cannot be written again. Nobody takes this for a message, or for a tombstone. */
const tooDeep = Buffer.alloc(0)

/**
 * The members of a JSON object. Strict is what every reader reads alike (RFC 7493); what only JSON.parse takes, a
 * handler may take too, so that its fields count.
 */
function readObject(value: Buffer): { members: Record<string, unknown>; isStrict: boolean } | undefined {
  if (!startsLikeObject.test(value.toString('latin1', 0, 64))) return undefined
  const strict = attempt(() => parseJson(value))
  if (isObject(strict)) return { members: strict, isStrict: true }
  const lenient: unknown = attempt(() => JSON.parse(new TextDecoder().decode(value)))
  return isObject(lenient) ? { members: lenient, isStrict: false } : undefined
}

function isSignable(value: Buffer): boolean {
  return attempt(() => parseTokenMessage(value)) !== undefined
}

/**
 * JSON allows any amount of white space in front; whoever puts more than this there hides something. A byte order mark
 * is not JSON, but many decoders take it away.
 */
const startsLikeObject = /^(?:\xef\xbb\xbf)?[ \t\r\n]*(?:\{|$)/

function attempt<Result>(read: () => Result): Result | undefined {
  try {
    return read()
  } catch {
    return undefined
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
