import { Agent, type AgentOptions, type RequestOptions } from 'node:https'
import type { Duplex } from 'node:stream'
import type { TLSSocket } from 'node:tls'
import { peerOf } from './peer.ts'
import type { PeerAuthorizer } from './peer-authorizer.ts'
import { secureConnect } from './secure-connect.ts'
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
  }

  override createConnection(
    options: RequestOptions,
    callback: (error: Error | null, socket: Duplex) => void = () => {},
  ): undefined {
    const fresh = this.#fresh
    const { host, port, socketPath, servername, lookup } = options
    const to = socketPath ? { path: socketPath } : { host: host ?? 'localhost', port: Number(port ?? 443) }
    secureConnect(this.#source, this.#authorize, { ...to, servername, lookup }).then(
      (socket) => {
        fresh.add(socket)
        callback(null, socket)
      },
      (error: Error) => (callback as (error: Error) => void)(error),
    )
  }

  override keepSocketAlive(socket: Duplex): boolean {
    const peer = peerOf(socket as TLSSocket)
    const lives = peer !== undefined && peer.certificate.notAfter * 1000 > Date.now()
    return lives && this.#fresh.has(socket) && (super.keepSocketAlive(socket) as unknown as boolean)
  }

  override destroy(): void {
    this.#forget()
    super.destroy()
  }

  #retire(): void {
    this.#fresh = new WeakSet()
    for (const sockets of Object.values(this.freeSockets)) for (const socket of sockets ?? []) socket.destroy()
  }
}
