import { createHmac, type KeyObject, randomBytes } from 'node:crypto'
import { agentId } from '@countersign/spiffe'
import type { Selector } from '../registration-entries/registration-entry.ts'

/** A secret that lets one agent join, once. 192 bits in characters that a SPIFFE ID may have: the agent's ID ends with it. */
export function makeJoinToken(): string {
  return randomBytes(24).toString('hex')
}

/** The agent's part of what it presents; anything else is no token. */
export const joinTokenPattern = /^[A-Za-z0-9._-]{1,128}$/

export function hashJoinToken(token: string, key: KeyObject): string {
  return createHmac('sha256', key).update(token).digest('hex')
}

/** The selector of the entry that gives an agent its second ID, as SPIRE has it; no workload has it. */
export function ownSelector(id: string): Selector {
  return { type: 'spiffe_id', value: id }
}

export function joinTokenAgentId(trustDomain: string, token: string): string {
  return agentId(trustDomain, `join_token/${token}`).toString()
}
