import type { IncomingMessage, ServerResponse } from 'node:http'
import type { ServerHttp2Session } from 'node:http2'
import type { Server, TLSSocket, TlsOptions } from 'node:tls'
import { SpiffeError } from '../spiffe-error.ts'
import { drainSession } from './drain-session.ts'
import { type LiveConnection, LiveConnections } from './live-connections.ts'
import { opensslVerdict } from './openssl-verdict.ts'
import { type Peer, setPeer, verifyPeer } from './peer.ts'
import type { PeerAuthorizer } from './peer-authorizer.ts'
import { chainOfSocket } from './peer-chain.ts'
import { shutOptions, TlsMaterial } from './tls-material.ts'
import type { TlsSource } from './tls-source.ts'

export interface ProtectOptions {
  /** Whether a client certificate's serial number (lower-case hex) has been revoked; asked again each second while it is connected. */
  isRevoked?: (serialNumber: string) => boolean
  /** Hears of each connection that was not let in; the same goes to the server's event `tlsClientError`. */
  onRefused?: (error: SpiffeError, remoteAddress: string | undefined) => void
  /** Milliseconds since the epoch; for tests. */
  now?: () => number
}

/**
 * Options to make an `https.Server`, `http2.SecureServer` or `tls.Server` with, directly or through a framework. By
 * themselves they let nobody in: `protectServer` does, so that forgetting it is noticed at once.
 */
export function serverTlsOptions(): TlsOptions {
  return { requestCert: true, rejectUnauthorized: true, ...shutOptions }
}

/**
 * Makes a server that was made with `serverTlsOptions` show the newest identity, and hand on only connections whose client
 * is verified by the bundle of its own trust domain and let in by `authorize`. Until then the application sees nothing of
 * a connection, not even that there is one. `peerOf(request)` says who it is.
 *
 * New connections have a new identity at once. Older ones drain and end with the client's certificate (HTTP/1:
 * `Connection: close`, HTTP/2: GOAWAY), and at once when it is revoked or its authority leaves the bundle.
 */
export function protectServer(
  server: Server,
  source: TlsSource,
  authorize: PeerAuthorizer,
  options: ProtectOptions = {},
): { close(): void } {
  const rules = { purpose: 'client', isRevoked: options.isRevoked, now: options.now } as const
  const material = TlsMaterial.of(source)
  const live = new LiveConnections(source, rules)
  const emit = server.emit
  const forget = source.onUpdate(renew)
  renew()
  // OpenSSL believes no client (see `TlsMaterial`), and Node shall let `admit` decide. Were a Node not to read this
  // property, it would let nobody in.
  Object.assign(server, { rejectUnauthorized: false })

  function renew() {
    try {
      server.setSecureContext(material.serverOptions())
    } catch {
      // Without an identity there is nothing to prove: handshakes fail until there is one again.
      server.setSecureContext(shutOptions)
    }
  }

  // Ahead of every listener, also of those that are added later.
  server.emit = ((event: string | symbol, ...rest: unknown[]) => {
    if (event === 'secureConnection') {
      const socket = rest[0] as TLSSocket
      const refusal = admit(socket)
      if (refusal) return refuse(refusal, socket)
    }
    if (event === 'tlsClientError') {
      const [error, socket] = rest as [Error, TLSSocket]
      return refuse(handshakeError(error), socket)
    }
    return Reflect.apply(emit, server, [event, ...rest])
  }) as typeof emit

  function admit(socket: TLSSocket): SpiffeError | undefined {
    try {
      const peer = verifyPeer(chainOfSocket(socket, source.bundles.values()), source, authorize, rules)
      // What applications and frameworks look at.
      Object.assign(socket, { authorized: true, authorizationError: null })
      setPeer(socket, peer)
      follow(socket, peer)
      return undefined
    } catch (error) {
      return asSpiffeError(error)
    }
  }

  function refuse(error: SpiffeError, socket: TLSSocket): boolean {
    const { remoteAddress } = socket
    socket.destroy()
    options.onRefused?.(error, remoteAddress)
    return Reflect.apply(emit, server, ['tlsClientError', error, socket])
  }

  function follow(socket: TLSSocket, peer: Peer) {
    const state: ConnectionState = { isDraining: false, session: undefined }
    const connection: LiveConnection = {
      peer,
      drain() {
        state.isDraining = true
        if (state.session) drainSession(state.session)
      },
      end: () => socket.destroy(),
    }
    Object.defineProperty(socket, stateKey, { value: state })
    live.add(connection)
    socket.once('close', () => live.delete(connection))
  }

  function onSession(session: ServerHttp2Session) {
    const state = stateOf(session.socket)
    if (state) state.session = session
  }

  function onRequest(request: IncomingMessage, response: ServerResponse) {
    if (request.httpVersionMajor === 1 && stateOf(request.socket)?.isDraining) {
      response.setHeader('Connection', 'close')
    }
  }

  server.on('session', onSession)
  server.prependListener('request', onRequest)
  server.once('close', close)

  function close() {
    live.close()
    forget()
  }
  return { close }
}

interface ConnectionState {
  isDraining: boolean
  session: ServerHttp2Session | undefined
}

// On the socket itself, where an HTTP/2 session's proxy of it shows it too.
const stateKey = Symbol('SPIFFE connection')

function stateOf(socket: object): ConnectionState | undefined {
  return (socket as { [stateKey]?: ConnectionState })[stateKey]
}

function handshakeError(error: NodeJS.ErrnoException): SpiffeError {
  const verdict = opensslVerdict(error.code, 'the client', error)
  return verdict ?? new SpiffeError('unavailable', `a TLS handshake failed: ${error.message}`, { cause: error })
}

function asSpiffeError(error: unknown): SpiffeError {
  if (error instanceof SpiffeError) return error
  return new SpiffeError('untrusted_svid', `the client's certificate cannot be judged: ${error}`, { cause: error })
}
