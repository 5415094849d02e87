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
 * A connection to a peer that is verified and authorised before this resolves; `peerOf(socket)` says who it is.
 *
 * @throws SpiffeError `unauthorized_peer`, `untrusted_svid`, `expired_svid`, `invalid_svid`; `unavailable` when there is
 * no connection; what the source throws when it has no identity that lives
 */
export async function secureConnect(
  source: TlsSource,
  authorize: PeerAuthorizer,
  options: SecureConnectOptions,
): Promise<TLSSocket> {
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
  const where = nameOf(options)
  const timer = setTimeout(
    () => socket.destroy(new Error(`no TLS handshake within ${handshakeTimeoutMilliseconds} ms`)),
    handshakeTimeoutMilliseconds,
  )
  try {
    await secured(socket)
    // Node leaves the check out for a resumed session. We never resume one; were it to happen, nobody has been verified.
    if (verified === undefined) throw new SpiffeError('unauthorized_peer', 'the peer was not verified')
    setPeer(socket, verified)
    return socket
  } catch (error) {
    socket.on('error', () => {})
    socket.destroy()
    throw connectError(error, where)
  } finally {
    clearTimeout(timer)
  }
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
  return new Promise((resolve, reject) => {
    socket.once('secureConnect', resolve)
    socket.once('error', reject)
    socket.once('close', () => reject(new Error('the connection was closed during the handshake')))
  })
}

function nameOf({ path, host = 'localhost', port, socket }: SecureConnectOptions): string {
  if (socket) return 'remoteAddress' in socket ? `${socket.remoteAddress}:${(socket as Socket).remotePort}` : 'the peer'
  return path ?? `${host}:${port}`
}

function connectError(error: unknown, where: string): SpiffeError {
  if (error instanceof SpiffeError) return error
  const { message, code } = error as NodeJS.ErrnoException
  const verdict = opensslVerdict(code, where, error)
  return verdict ?? new SpiffeError('unavailable', `no TLS connection to ${where}: ${message}`, { cause: error })
}
