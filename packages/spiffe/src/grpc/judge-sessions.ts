import type { ServerHttp2Session } from 'node:http2'
import type { TLSSocket } from 'node:tls'
import { SpiffeError } from '../spiffe-error.ts'
import { drainSession } from '../tls/drain-session.ts'
import type { LiveConnection } from '../tls/live-connections.ts'
import { type Peer, type PeerRules, setPeer, verifyPeer } from '../tls/peer.ts'
import type { PeerAuthorizer } from '../tls/peer-authorizer.ts'
import { chainOfSocket } from '../tls/peer-chain.ts'
import type { TlsSource } from '../tls/tls-source.ts'

export interface SessionListener {
  onAdmitted(connection: LiveConnection): void
  onEnded(connection: LiveConnection): void
  onRefused?: (error: SpiffeError, remoteAddress: string | undefined) => void
}

/** Verifies the client of each HTTP/2 session once, at its first call; what it returns throws the same for all its calls. */
export function judgeSessions(
  source: TlsSource,
  authorize: PeerAuthorizer,
  rules: PeerRules,
  listener: SessionListener,
): (session: ServerHttp2Session) => Peer {
  const verdicts = new WeakMap<ServerHttp2Session, Peer | SpiffeError>()

  function judge(session: ServerHttp2Session): Peer | SpiffeError {
    const socket = session.socket as TLSSocket
    try {
      const peer = verifyPeer(chainOfSocket(socket, source.bundles.values()), source, authorize, rules)
      setPeer(session, peer)
      admit(session, peer)
      return peer
    } catch (error) {
      const refusal = asSpiffeError(error)
      listener.onRefused?.(refusal, socket.remoteAddress)
      return refusal
    }
  }

  function admit(session: ServerHttp2Session, peer: Peer) {
    const connection = { peer, drain: () => drainSession(session), end: () => session.destroy() }
    listener.onAdmitted(connection)
    session.once('close', () => listener.onEnded(connection))
  }

  return (session) => {
    const verdict = verdicts.get(session) ?? judge(session)
    verdicts.set(session, verdict)
    if (verdict instanceof SpiffeError) throw verdict
    return verdict
  }
}

function asSpiffeError(error: unknown): SpiffeError {
  if (error instanceof SpiffeError) return error
  return new SpiffeError('untrusted_svid', `the client's certificate cannot be judged: ${error}`, { cause: error })
}
