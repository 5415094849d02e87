import {
  type CallBinding,
  kafkaMessageBinding,
  kafkaRecordBinding,
  md5MessageHash,
  parseJson,
  serviceTokenFields,
  serviceTokenHeaders,
  withoutTokenFields,
} from '@countersign/tokens'
import { ClientError } from '../client-error.ts'
import type { ServiceSigner } from '../service-token/service-signer.ts'

/** What signing a record needs of `createServiceSigner`. */
export type RecordSigner = Pick<ServiceSigner, 'profile' | 'sign' | 'signMd5'>

/** Where the token rides: in the record header `m2m-token`, or inside the message as `M2MToken`. */
export type RecordCarrier = 'header' | 'payload'

export interface RecordToSign {
  readonly topic: string
  readonly key?: Uint8Array | string | null
  /** Bytes and text go as they are, null is a tombstone, anything else becomes JSON. */
  readonly value: unknown
  readonly headers?: Iterable<readonly [name: string, value: Uint8Array]>
}

export interface RecordSigningOptions {
  /** Default `header`. `payload` is for JSON objects; what is none (tombstones, arrays, binary) uses the header. */
  readonly carrier?: RecordCarrier
  readonly tenant?: string
}

export interface SignedRecord {
  readonly topic: string
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly headers: readonly (readonly [name: string, value: Buffer])[]
}

/** The record header of the token. */
export const tokenHeader = serviceTokenHeaders[1]

/**
 * The record as it is to be sent, with a new token that is bound to its topic, key and value, and good once. Every
 * attempt to send it needs its own. Token fields and headers that were there before are replaced.
 * @throws ClientError `body_not_signable` for a value that has no JSON form, and in the md5 profile for what is no JSON
 *   object
 */
export function signRecord(
  signer: RecordSigner,
  record: RecordToSign,
  options: RecordSigningOptions = {},
): SignedRecord {
  const { topic } = record
  const key = bytesOf(record.key ?? null)
  const value = serialized(record.value)
  const headers = otherHeaders(record.headers)
  const message = options.carrier === 'payload' || signer.profile === 'md5' ? jsonObject(value) : undefined
  const sign = (binding: CallBinding) => signer.sign({ audience: `kafka:${topic}`, binding, tenant: options.tenant })

  if (signer.profile === 'md5') {
    if (message === undefined) throw notSignable('the md5 profile binds JSON objects only, and this message is none')
    const token = signer.signMd5(md5MessageHash(message))
    if (options.carrier === 'payload') return { topic, key, value: withToken(message, token), headers }
    return { topic, key, value, headers: [...headers, [tokenHeader, Buffer.from(token)]] }
  }
  if (message !== undefined) {
    const token = sign(kafkaMessageBinding({ topic, key, message }))
    return { topic, key, value: withToken(message, token), headers }
  }
  const token = sign(kafkaRecordBinding({ topic, key, value }))
  return { topic, key, value, headers: [...headers, [tokenHeader, Buffer.from(token)]] }
}

function withToken(message: object, token: string): Buffer {
  return Buffer.from(JSON.stringify({ ...message, [serviceTokenFields[0]]: token }))
}

function bytesOf(value: Uint8Array | string | null): Buffer | null {
  if (value === null || Buffer.isBuffer(value)) return value
  if (typeof value === 'string') return Buffer.from(value)
  return Buffer.from(value.buffer, value.byteOffset, value.byteLength)
}

function serialized(value: unknown): Buffer | null {
  if (value === null || typeof value === 'string' || value instanceof Uint8Array) return bytesOf(value)
  if (value === undefined) throw notSignable('the record has no value; a tombstone is null')
  let text: string | undefined
  try {
    text = JSON.stringify(value)
  } catch {
    // A cycle or a bigint; the reason given may quote the message.
  }
  if (text === undefined) throw notSignable('the value has no JSON form; give bytes, text or plain data')
  return Buffer.from(text)
}

/** Without its token fields; undefined where the value cannot be a JSON object that every receiver reads alike. */
function jsonObject(value: Buffer | null): object | undefined {
  if (value === null || !startsLikeObject.test(value.toString('latin1', 0, 64))) return undefined
  try {
    const message = parseJson(value, { exactIntegers: true })
    return typeof message === 'object' && message !== null ? withoutTokenFields(message) : undefined
  } catch {
    return undefined
  }
}

const startsLikeObject = /^[ \t\r\n]*\{/

function otherHeaders(headers: RecordToSign['headers']): (readonly [string, Buffer])[] {
  const kept: (readonly [string, Buffer])[] = []
  for (const [name, value] of headers ?? []) {
    if (!tokenNames.has(name.toLowerCase())) kept.push([name, bytesOf(value)!])
  }
  return kept
}

const tokenNames: ReadonlySet<string> = new Set(serviceTokenHeaders)

function notSignable(message: string): ClientError {
  return new ClientError('body_not_signable', message)
}
