import { hash, type KeyObject, sign, verify } from 'node:crypto'
import { canonicalJson } from '@countersign/tokens'
import type { AuditEvent, AuditHead } from './event.ts'

/** What the first event of a chain follows. */
export const chainStart = '0'.repeat(64)

/** @param text RFC 8785 text of the event without its hash */
export function chainHash(previousHash: string, text: string): string {
  return hash('sha256', `${previousHash}\n${text}`)
}

export function eventText(event: AuditEvent): string {
  return canonicalJson(event)
}

export function signHead(head: Omit<AuditHead, 'signature'>, key: KeyObject): AuditHead {
  return { ...head, signature: sign(null, headBytes(head), key).toString('base64url') }
}

export function isHeadSigned(head: AuditHead, publicKey: KeyObject): boolean {
  return verify(null, headBytes(head), publicKey, Buffer.from(head.signature, 'base64url'))
}

/** The prefix keeps a head's signature from ever meaning anything else. */
function headBytes({ chain, sequence, hash: headHash, time }: Omit<AuditHead, 'signature'>): Buffer {
  return Buffer.from(`countersign audit head\n${canonicalJson({ chain, sequence, hash: headHash, time })}`)
}
