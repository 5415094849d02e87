import { AgentError } from '../agent-error.ts'
import type { NodeAttestor } from './node-attestor.ts'

/** A secret that an operator got from the server; good for one attestation. */
export function joinToken(token: string): NodeAttestor {
  if (!/^[A-Za-z0-9._-]{1,255}$/.test(token))
    throw new AgentError(
      'invalid_configuration',
      'the join token is none; ask the server for one: countersign node token create',
    )
  return {
    type: 'join_token',
    reusable: false,
    payload: async () => Buffer.from(token),
    respond: async () => {
      throw new AgentError('invalid_answer', 'the server challenges a join token, which knows no answer')
    },
  }
}
