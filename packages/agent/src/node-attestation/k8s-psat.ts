import { readFileSync } from 'node:fs'
import { AgentError, reasonOf } from '../agent-error.ts'
import type { NodeAttestor } from './node-attestor.ts'

/**
 * A Kubernetes service account token that the kubelet projects into the agent's pod, with the server's audience. The
 * kubelet replaces the file, so it is read each time.
 */
export function k8sPsat(options: { cluster: string; tokenFile: string }): NodeAttestor {
  return {
    type: 'k8s_psat',
    reusable: true,
    payload: async () => Buffer.from(JSON.stringify({ cluster: options.cluster, token: readToken(options.tokenFile) })),
    respond: async () => {
      throw new AgentError('invalid_answer', 'the server challenges a service account token, which knows no answer')
    },
  }
}

function readToken(path: string): string {
  try {
    const token = readFileSync(path, 'utf8').trim()
    if (token === '') throw new Error('it is empty')
    return token
  } catch (error) {
    const cure = 'mount a projected serviceAccountToken volume there'
    throw new AgentError(
      'unavailable',
      `the service account token ${path} cannot be read (${reasonOf(error)}); ${cure}`,
    )
  }
}
