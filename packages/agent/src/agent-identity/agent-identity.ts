import type { KeyObject } from 'node:crypto'
import { type Certificate, isAgentId, parseCertificate, parseSpiffeId } from '@countersign/spiffe'
import type { X509SVID } from '@countersign/spiffe/protocol/spire-types'
import { AgentError, reasonOf } from '../agent-error.ts'

/** Who this agent is to the server. */
export interface AgentIdentity {
  /** `spiffe://example.org/spire/agent/...` */
  readonly id: string
  /** Leaf first, the root left out. */
  readonly certificates: readonly Certificate[]
  readonly privateKey: KeyObject
  /** The server wants another attestation, rather than a renewal, before the certificate ends. */
  readonly reattestable: boolean
}

export function issuedAt(identity: AgentIdentity): number {
  return (identity.certificates[0] as Certificate).notBefore
}

/** Seconds since the epoch. */
export function expiresAt(identity: AgentIdentity): number {
  return (identity.certificates[0] as Certificate).notAfter
}

/**
 * What the server issued, checked against what was asked for.
 * @throws AgentError `invalid_answer`
 */
export function receivedIdentity(
  svid: X509SVID | undefined,
  expected: { trustDomain: string; privateKey: KeyObject; publicKeyDer: Buffer; reattestable: boolean; id?: string },
): AgentIdentity {
  try {
    const certificates = (svid?.certChain ?? []).map((der) => parseCertificate(der))
    const [leaf] = certificates
    if (leaf === undefined) throw new Error('it holds no certificate')
    if (!leaf.publicKeyDer.equals(expected.publicKeyDer)) throw new Error('it is for another key')
    const [uri = ''] = leaf.uris
    const id = parseSpiffeId(uri)
    if (leaf.uris.length !== 1 || id.trustDomain !== expected.trustDomain)
      throw new Error('its ID is of another trust domain')
    if (!isAgentId(id)) throw new Error(`${id} is no agent's ID`)
    if (expected.id !== undefined && id.toString() !== expected.id)
      throw new Error(`it is for ${id}, not ${expected.id}`)
    return { id: id.toString(), certificates, privateKey: expected.privateKey, reattestable: expected.reattestable }
  } catch (error) {
    throw new AgentError('invalid_answer', `the server's SVID for this agent cannot be used: ${reasonOf(error)}`)
  }
}
