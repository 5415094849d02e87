import { isIP, type Socket } from 'node:net'
import { type ConnectionOptions, connect, type DetailedPeerCertificate, type TLSSocket } from 'node:tls'
import { SpiffeError } from '../spiffe-error.ts'
import { opensslVerdict } from './openssl-verdict.ts'
import { type Peer, setPeer, verifyPeer } from './peer.ts'
import type { PeerAuthorizer } from './peer-authorizer.ts'
import { chainOfCertificate } from './peer-chain.ts'
import { TlsMaterial } from './tls-material.ts'
import type { TlsSource } from './tls-source.ts'

/** `host` and `port`, or `path`, or an open `socket`; also `servername` and `ALPNProtocols`, as in `tls.connect`. */
export interface SecureConnectOptions
  extends Pick<ConnectionOptions, 'host' | 'port' | 'path' | 'socket' | 'servername' | 'ALPNProtocols' | 'lookup'> {
  /** Until the connection is open and the peer verified. Default 10 000. */
  handshakeTimeoutMilliseconds?: number
}

/**
 * Options for ONE `tls.connect`, `https.request` or `http2.connect`: take them anew for each, so that each has the newest
 * identity. The peer is judged by its SPIFFE ID; its host name does not matter.
 *
 * Not for an `https.Agent`, which would keep them: that is `httpsAgent`.
 *
 * @throws SpiffeError what the source throws when it has no identity that lives
 */
export function clientTlsOptions(source: TlsSource, authorize: PeerAuthorizer): ConnectionOptions & { agent: false } {
  return verifyingOptions(source, authorize, () => {})
}

/**
 * A connection to a peer that is verified and authorised before this resolves; `peerOf(socket)` says who it is. Whether the
 * peer lets us in as well, TLS 1.3 only shows when something is read.
 *
 * @throws SpiffeError `unauthorized_peer`, `untrusted_svid`, `expired_svid`, `invalid_svid`; `unavailable` when there is
 * no connection; what the source throws when it has no identity that lives
 */
export async function secureConnect(
  source: TlsSource,
  authorize: PeerAuthorizer,
  options: SecureConnectOptions,
): Promise<TLSSocket> {
  const socket = startConnect(source, authorize, options)
  try {
    await secured(socket)
    return socket
  } catch (error) {
    socket.on('error', () => {})
    socket.destroy()
    if (error instanceof SpiffeError) throw error
    const why = `no TLS connection to ${nameOf(options)}: ${(error as Error).message}`
    throw new SpiffeError('unavailable', why, { cause: error })
  }
}

/**
 * A connection that is being made, for what waits for `secureConnect` itself: until then nothing that is written goes out. If
 * the peer is not to be talked to, it ends with a SpiffeError; other errors are node's.
 *
 * @throws SpiffeError what the source throws when it has no identity that lives
 */
export function startConnect(source: TlsSource, authorize: PeerAuthorizer, options: SecureConnectOptions): TLSSocket {
  const { handshakeTimeoutMilliseconds = 10_000, servername = '', ...to } = options
  let verified: Peer | undefined
  const socket = connect({
    ...to,
    // An address is no server name (RFC 6066 section 3).
    ...(servername !== '' && isIP(servername) === 0 && { servername }),
    ...verifyingOptions(source, authorize, (peer) => {
      verified = peer
    }),
  })
  const { destroy } = socket
  socket.destroy = (error) => destroy.call(socket, error && (verdictOn(error, options) ?? error))
  const timer = setTimeout(
    () => socket.destroy(new Error(`no TLS handshake within ${handshakeTimeoutMilliseconds} ms`)),
    handshakeTimeoutMilliseconds,
  )
  socket.once('close', () => clearTimeout(timer))
  socket.once('secureConnect', () => {
    clearTimeout(timer)
    // Node leaves the check out for a resumed session. We never resume one; were it to happen, nobody has been verified.
    if (verified === undefined) socket.destroy(new SpiffeError('unauthorized_peer', 'the peer was not verified'))
    else setPeer(socket, verified)
  })
  return socket
}

function verifyingOptions(source: TlsSource, authorize: PeerAuthorizer, onVerified: (peer: Peer) => void) {
  return {
    secureContext: TlsMaterial.of(source).clientContext(),
    rejectUnauthorized: true,
    checkServerIdentity(_host: string, certificate: object) {
      try {
        const chain = chainOfCertificate(certificate as DetailedPeerCertificate, source.bundles.values())
        onVerified(verifyPeer(chain, source, authorize, { purpose: 'server' }))
        return undefined
      } catch (error) {
        return error as Error
      }
    },
    // No connection of a shared agent is taken over: another authorizer may have let its peer in.
    agent: false as const,
    // An agent that is made with these all the same keeps no sessions: Node checks nobody when it resumes one.
    maxCachedSessions: 0,
  }
}

function secured(socket: TLSSocket): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const onSecure = () => socket.destroyed || resolve()
  const onClose = () => reject(new Error('the connection was closed during the handshake'))
  socket.once('secureConnect', onSecure).once('error', reject).once('close', onClose)
  // Errors that come later are the caller's.
  return promise.finally(() => socket.off('secureConnect', onSecure).off('error', reject).off('close', onClose))
}

function nameOf({ path, host = 'localhost', port, socket }: SecureConnectOptions): string {
  if (socket) return 'remoteAddress' in socket ? `${socket.remoteAddress}:${(socket as Socket).remotePort}` : 'the peer'
  return path ?? `${host}:${port}`
}

function verdictOn(error: NodeJS.ErrnoException, options: SecureConnectOptions): SpiffeError | undefined {
  return error instanceof SpiffeError ? error : opensslVerdict(error.code, nameOf(options), error)
}
