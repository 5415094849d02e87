import { ServerCredentials, type ServerInterceptor } from '@grpc/grpc-js'
import { LiveConnections } from '../tls/live-connections.ts'
import type { PeerRules } from '../tls/peer.ts'
import type { PeerAuthorizer } from '../tls/peer-authorizer.ts'
import type { ProtectOptions } from '../tls/protect-server.ts'
import { TlsMaterial } from '../tls/tls-material.ts'
import type { TlsSource } from '../tls/tls-source.ts'
import { judgeSessions } from './judge-sessions.ts'
import { peerInterceptor } from './peer-interceptor.ts'

/**
 * Credentials for servers of grpc-js (`server.bindAsync`): new connections see the newest identity at once, and no handler
 * runs for a client that is not verified (UNAUTHENTICATED) or that `authorize` does not let in (PERMISSION_DENIED).
 * `peerOf(call)` says who it is. Connections drain and end as those of `protectServer`; without an identity there are none.
 */
export function grpcServerCredentials(
  source: TlsSource,
  authorize: PeerAuthorizer,
  options: ProtectOptions = {},
): ServerCredentials {
  return new SpiffeServerCredentials(source, authorize, options)
}

type Watcher = Parameters<ServerCredentials['_addWatcher']>[0]

class SpiffeServerCredentials extends ServerCredentials {
  readonly #source: TlsSource
  readonly #rules: PeerRules
  readonly #interceptor: ServerInterceptor
  #live: LiveConnections | undefined
  #forget: (() => void) | undefined

  constructor(source: TlsSource, authorize: PeerAuthorizer, options: ProtectOptions) {
    // The interceptor judges the clients; why not OpenSSL, see `TlsMaterial`.
    super({ requestCert: true, rejectUnauthorized: false })
    this.#source = source
    this.#rules = { purpose: 'client', isRevoked: options.isRevoked, now: options.now }
    const judge = judgeSessions(source, authorize, this.#rules, {
      onAdmitted: (connection) => this.#live?.add(connection),
      onEnded: (connection) => this.#live?.delete(connection),
      onRefused: options.onRefused,
    })
    this.#interceptor = peerInterceptor(judge)
  }

  override _getInterceptors(): ServerInterceptor[] {
    return [this.#interceptor]
  }

  /** A server begins to listen: from here on it is told of rotations. */
  override _addWatcher(watcher: Watcher): void {
    super._addWatcher(watcher)
    if (this.#forget) return
    const material = TlsMaterial.of(this.#source)
    this.#live = new LiveConnections(this.#source, this.#rules)
    this.#forget = this.#source.onUpdate(() => this.#renew(material))
    this.#renew(material)
  }

  override _removeWatcher(watcher: Watcher): void {
    super._removeWatcher(watcher)
    if (this.getWatcherCount() > 0) return
    this.#forget?.()
    this.#forget = undefined
    this.#live?.close()
  }

  override _equals(other: ServerCredentials): boolean {
    return other === this
  }

  #renew(material: TlsMaterial): void {
    try {
      this.updateSecureContextOptions(material.serverOptions())
    } catch {
      // grpc-js drops connections until there are options again.
      this.updateSecureContextOptions(null)
    }
  }
}
