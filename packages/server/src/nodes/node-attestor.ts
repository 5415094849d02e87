import type { AuditFact } from '../audit/event.ts'
import type { Selector } from '../registration-entries/registration-entry.ts'
import type { StoreTransaction } from '../storage/store.ts'

/** What an attestation has proven. */
export interface AttestedNode {
  /** The agent's SPIFFE ID, below `/spire/agent/` */
  id: string
  selectors: Selector[]
  /** Whether the agent can attest itself again under this ID, rather than renew */
  reattestable: boolean
  /**
   * Takes what the attestation uses up, in the transaction that records the node: both are done, or neither is.
   * @param given the serial number of the SVID that the agent gets for it
   * @returns what else there is to record
   * @throws AttestationError when somebody else has taken it
   */
  claim?: (transaction: StoreTransaction, given: { serialNumber: string; now: number }) => Promise<readonly AuditFact[]>
  /**
   * Serial number of the SVID that this very agent got for this before, in an answer that it may have lost. Then it is
   * not taken in anew: it gets what a renewal with that SVID would get it.
   */
  serialGivenBefore?: string
}

/** One way in which a node proves what it is. */
export interface NodeAttestor {
  /** As the agent names it, such as `join_token` */
  readonly type: string
  /**
   * @param payload what the agent sent first; nothing in it is to be believed
   * @param challenge sends something and resolves to what comes back
   * @param publicKeyDer of the key that the agent has (SubjectPublicKeyInfo), as its request for a certificate proves
   * @throws AttestationError
   */
  attest(payload: Buffer, challenge: (bytes: Buffer) => Promise<Buffer>, publicKeyDer: Buffer): Promise<AttestedNode>
}

/** `invalid`: not well-formed, or a token that is not good. `denied`: not proven. `unavailable`: nobody could tell. */
export type AttestationErrorCode = 'invalid' | 'denied' | 'unavailable'

/** The message may go to the agent and into the log: it never holds what the agent sent. */
export class AttestationError extends Error {
  readonly code: AttestationErrorCode
  /** What only the operator is told besides */
  readonly detail: string | undefined
  constructor(
    code: AttestationErrorCode,
    message: string,
    options: ErrorOptions & { detail?: string | undefined } = {},
  ) {
    super(message, options)
    this.name = 'AttestationError'
    this.code = code
    this.detail = options.detail
  }
}
