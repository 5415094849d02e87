import { hash, sign } from 'node:crypto'
import { canonicalJson, type GeneratedKey } from '@countersign/tokens'
import type { KafkaCall, ReceivedCall } from './service-token-vectors.ts'

/** 2027-01-15T08:00:00Z */
export const now = 1_800_000_000

let count = 0

/** A service token for the call, of the right form but for what is changed. */
export function token(key: GeneratedKey, call: ReceivedCall, changed: object = {}, header: object = {}): string {
  return signed(key, { typ: 'm2m+jwt', ...header }, { ...claimsOf(call), ...changed })
}

export function claimsOf(call: ReceivedCall): object {
  const name = 'order-service'
  const jti = `00000000-0000-4000-8000-${String(++count).padStart(12, '0')}`
  return {
    iss: name,
    sub: name,
    sender: name,
    aud: 'inventory-service',
    iat: now,
    exp: now + 60,
    jti,
    req: binding(call),
  }
}

export function binding(call: ReceivedCall): object {
  switch (call.transport) {
    case 'http':
      return { method: call.method, target: call.target, digest: digest(call.content) }
    case 'grpc':
      return { method: call.method, digest: digest(call.message) }
    case 'kafka':
      return { topic: call.topic, key: digest(call.key), digest: digest(call.value) }
  }
}

export function messageBinding(record: KafkaCall, message: object): object {
  return { ...binding(record), digest: digest(base64(canonicalJson(message))) }
}

export function digest(content: string | null): string | null {
  return content === null ? null : `sha-256:${hash('sha256', Buffer.from(content, 'base64'), 'base64url')}`
}

export function signed({ privateKey, kid }: GeneratedKey, header: object, payload: object | string): string {
  const body = typeof payload === 'string' ? Buffer.from(payload).toString('base64url') : part(payload)
  const input = `${part({ alg: 'EdDSA', kid, ...header })}.${body}`
  return `${input}.${sign(null, Buffer.from(input), privateKey).toString('base64url')}`
}

/** S + L verifies too where S is not checked to be below L (CVE-2026-33895). */
export function malleated(signature: Buffer): Buffer {
  const order = 2n ** 252n + 27742317777372353535851937790883648493n
  const s = BigInt(`0x${Buffer.from(signature.subarray(32)).reverse().toString('hex')}`) + order
  const bytes = Buffer.from(s.toString(16).padStart(64, '0'), 'hex').reverse()
  return Buffer.concat([signature.subarray(0, 32), bytes])
}

/** The last of 86 characters carries two bits; the other four must be zero. */
export function respelt(last: string): string {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
  return alphabet[alphabet.indexOf(last) + 1] as string
}

export function part(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url')
}

export function base64(text: string): string {
  return Buffer.from(text).toString('base64')
}
