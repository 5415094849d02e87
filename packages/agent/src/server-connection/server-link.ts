import type { Certificate } from '@countersign/spiffe'
import type { AgentIdentity } from '../agent-identity/agent-identity.ts'
import { openServerConnection, type ServerConnection, type ServerConnectionOptions } from './server-connection.ts'

/**
 * The connection that this agent's calls go over now. Another identity or other anchors mean another connection; calls
 * under way end on the old one.
 */
export class ServerLink {
  readonly #options: Pick<ServerConnectionOptions, 'address' | 'trustDomain' | 'clock'>
  #current: ServerConnection | undefined
  #identity: AgentIdentity | undefined
  #anchors: readonly Certificate[] = []

  constructor(options: Pick<ServerConnectionOptions, 'address' | 'trustDomain' | 'clock'>) {
    this.#options = options
  }

  use(identity: AgentIdentity, anchors: readonly Certificate[]): void {
    if (identity === this.#identity && sameCertificates(anchors, this.#anchors)) return
    this.#identity = identity
    this.#anchors = anchors
    const before = this.#current
    this.#current = openServerConnection({ ...this.#options, identity, trust: { anchors } })
    before?.close()
  }

  connection(): ServerConnection {
    if (this.#current === undefined) throw new Error('the agent has no identity yet')
    return this.#current
  }

  close(): void {
    this.#current?.close()
    this.#current = undefined
  }
}

function sameCertificates(one: readonly Certificate[], other: readonly Certificate[]): boolean {
  return one.length === other.length && one.every(({ der }, index) => other[index]?.der.equals(der))
}
