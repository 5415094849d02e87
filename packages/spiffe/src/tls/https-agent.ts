import { Agent, type AgentOptions, type RequestOptions } from 'node:https'
import type { Duplex } from 'node:stream'
import { peerOf } from './peer.ts'
import type { PeerAuthorizer } from './peer-authorizer.ts'
import { startConnect } from './secure-connect.ts'
import type { TlsSource } from './tls-source.ts'

/**
 * An agent for `https.request`, `axios` and others that take one. Each new connection has the newest identity; after a
 * rotation no request goes over an older one, and requests under way end in peace.
 *
 * @param options as of `https.Agent`; connections are kept alive unless it says otherwise
 */
export function httpsAgent(source: TlsSource, authorize: PeerAuthorizer, options: AgentOptions = {}): Agent {
  return new SpiffeAgent(source, authorize, options)
}

class SpiffeAgent extends Agent {
  readonly #source: TlsSource
  readonly #authorize: PeerAuthorizer
  readonly #forget: () => void
  /** Connections made since the last update */
  #fresh = new WeakSet<Duplex>()

  constructor(source: TlsSource, authorize: PeerAuthorizer, options: AgentOptions) {
    super({ keepAlive: true, ...options, maxCachedSessions: 0 })
    this.#source = source
    this.#authorize = authorize
    this.#forget = source.onUpdate(() => this.#retire())
    // Ahead of Node's own listener, which gives a free connection to the next request that waits.
    this.prependListener('free', (socket: Duplex) => {
      if (this.#isOutdated(socket)) socket.destroy()
    })
  }

  override createConnection(options: RequestOptions): Duplex {
    const { host, port, socketPath, servername, lookup } = options
    const to = socketPath ? { path: socketPath } : { host: host ?? 'localhost', port: Number(port ?? 443) }
    const socket = startConnect(this.#source, this.#authorize, { ...to, servername, lookup })
    this.#fresh.add(socket)
    return socket
  }

  override destroy(): void {
    this.#forget()
    super.destroy()
  }

  #isOutdated(socket: Duplex): boolean {
    // Node also calls a connection free that is still being made for a request that waits: nobody is there yet.
    const expiresAt = peerOf(socket)?.certificate.notAfter ?? Number.POSITIVE_INFINITY
    return !this.#fresh.has(socket) || expiresAt * 1000 <= Date.now()
  }

  #retire(): void {
    this.#fresh = new WeakSet()
    for (const sockets of Object.values(this.freeSockets)) for (const socket of sockets ?? []) socket.destroy()
  }
}
