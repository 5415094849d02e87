import { isIP, type Socket } from 'node:net'
import { CallCredentials, ChannelCredentials, type ChannelOptions, experimental } from '@grpc/grpc-js'
import { SpiffeError } from '../spiffe-error.ts'
import type { PeerAuthorizer } from '../tls/peer-authorizer.ts'
import { secureConnect } from '../tls/secure-connect.ts'
import type { TlsSource } from '../tls/tls-source.ts'

/**
 * Credentials for clients of grpc-js: each new connection has the newest identity, and is used only when the server's
 * SPIFFE ID is verified and `authorize` lets it through. Its host name does not matter. They compose with call credentials.
 */
export function grpcChannelCredentials(source: TlsSource, authorize: PeerAuthorizer): ChannelCredentials {
  return new SpiffeChannelCredentials(source, authorize)
}

class SpiffeChannelCredentials extends ChannelCredentials {
  readonly #source: TlsSource
  readonly #authorize: PeerAuthorizer

  constructor(source: TlsSource, authorize: PeerAuthorizer) {
    super()
    this.#source = source
    this.#authorize = authorize
  }

  override _isSecure(): boolean {
    return true
  }

  /** Only the same object: channels share connections between equal credentials, and predicates cannot be compared. */
  override _equals(other: ChannelCredentials): boolean {
    return other === this
  }

  override _createSecureConnector(
    target: experimental.GrpcUri,
    _options: ChannelOptions,
    callCredentials = CallCredentials.createEmpty(),
  ): experimental.SecureConnector {
    return {
      connect: (socket) => this.#connect(socket, serverName(target)),
      waitForReady: async () => {},
      getCallCredentials: () => callCredentials,
      destroy() {},
    }
  }

  async #connect(socket: Socket, servername: string | undefined): Promise<experimental.SecureConnectResult> {
    const secured = await secureConnect(this.#source, this.#authorize, {
      socket,
      servername,
      ALPNProtocols: ['h2'],
    })
    if (secured.alpnProtocol !== 'h2') {
      secured.destroy()
      throw new SpiffeError('unavailable', 'the server does not speak HTTP/2, which gRPC needs')
    }
    return { socket: secured, secure: true }
  }
}

/** For proxies that route by it; the server is judged by its ID. */
function serverName(target: experimental.GrpcUri): string | undefined {
  const host = target.scheme === 'unix' ? undefined : experimental.splitHostPort(target.path)?.host
  return host === undefined || isIP(host) !== 0 ? undefined : host
}
