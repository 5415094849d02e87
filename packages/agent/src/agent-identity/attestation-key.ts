import type { KeyObject } from 'node:crypto'
import { AgentError, reasonOf } from '../agent-error.ts'
import { type AgentKey, agentKey, newPrivateKey } from '../node-attestation/attest-node.ts'
import type { NodeAttestor } from '../node-attestation/node-attestor.ts'
import type { IdentityStore } from './stored-identity.ts'

/**
 * With which key the next try of an attestation is made: a fresh one where the credential may be used again. What is
 * good only once is not spent on an identity that the next restart would lose, and is tried with one key only, also
 * after a restart: by that the server knows the agent again whose answer was lost, and repeats it.
 * @returns a function that throws AgentError `unavailable` where nothing can be stored
 */
export function attestationKeys({
  attestor,
  store,
}: {
  readonly attestor?: NodeAttestor
  readonly store?: IdentityStore
}): () => AgentKey {
  let only: KeyObject | undefined
  return () => {
    if (attestor?.reusable) return agentKey()
    const make = () => only ?? newPrivateKey()
    try {
      store?.check()
      only = store?.attestationKey(make) ?? make()
    } catch (error) {
      throw new AgentError(
        'unavailable',
        `the data directory cannot be written (${reasonOf(error)}): make room, or the directory writable; the join token is not spent before`,
      )
    }
    return agentKey(only)
  }
}
