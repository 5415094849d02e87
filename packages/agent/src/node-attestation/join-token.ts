import { readFileSync } from 'node:fs'
import { AgentError, reasonOf } from '../agent-error.ts'
import type { NodeAttestor } from './node-attestor.ts'

const cure = 'ask the server for one: countersign node token create'

/**
 * A secret that an operator got from the server; good for one attestation.
 *
 * The file of one is read when the node attests itself and not before: whoever goes on with a stored identity may have
 * removed it.
 */
export function joinToken(source: string | { readonly file: string }): NodeAttestor {
  if (typeof source === 'string') checkToken(source)
  return {
    type: 'join_token',
    reusable: false,
    payload: async () => Buffer.from(typeof source === 'string' ? source : readToken(source.file)),
    respond: async () => {
      throw new AgentError('invalid_answer', 'the server challenges a join token, which knows no answer')
    },
  }
}

function readToken(path: string): string {
  let token: string
  try {
    token = readFileSync(path, 'utf8').trim()
  } catch (error) {
    throw new AgentError(
      'invalid_configuration',
      `there is no stored identity of this agent, and its join token cannot be read (${reasonOf(error)}); ${cure}`,
    )
  }
  checkToken(token, path)
  return token
}

function checkToken(token: string, path?: string): void {
  if (/^[A-Za-z0-9._-]{1,255}$/.test(token)) return
  const what = path === undefined ? 'the join token is none' : `${path} holds no join token`
  throw new AgentError('invalid_configuration', `${what}; ${cure}`)
}
