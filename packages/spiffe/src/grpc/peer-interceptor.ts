import type { ServerHttp2Session } from 'node:http2'
import { type Metadata, ServerInterceptingCall, type ServerInterceptor, status } from '@grpc/grpc-js'
import { SpiffeError } from '../spiffe-error.ts'
import type { Peer } from '../tls/peer.ts'

/** Ends each call whose session `judge` throws at, before its handler runs or one of its messages is read. */
export function peerInterceptor(judge: (session: ServerHttp2Session) => Peer): ServerInterceptor {
  return (_method, call) =>
    new ServerInterceptingCall(call, {
      start(next) {
        next({
          onReceiveMetadata(metadata, goOn) {
            try {
              peers.set(metadata, judge(sessionOf(call)))
            } catch (error) {
              call.sendStatus(refusal(error))
              return
            }
            goOn(metadata)
          },
        })
      },
    })
}

/**
 * Who makes a call, in a handler or interceptor of a server with `grpcServerCredentials`; undefined on other servers, and
 * where an interceptor has put other metadata in the place of the call's own.
 */
export function peerOf(call: { readonly metadata: Metadata }): Peer | undefined {
  return peers.get(call.metadata)
}

const peers = new WeakMap<Metadata, Peer>()

/** grpc-js shows interceptors only the leaf; the chain is at the session. Where it is not, nobody gets in. */
function sessionOf(call: object): ServerHttp2Session {
  const { session } = (call as { stream?: { session?: ServerHttp2Session } }).stream ?? {}
  if (session?.socket === undefined) throw new SpiffeError('unauthorized_peer', 'the connection of a call is not known')
  return session
}

function refusal(error: unknown): { code: status; details: string; metadata: null } {
  const isUnauthorized = error instanceof SpiffeError && error.code === 'unauthorized_peer'
  if (isUnauthorized) return { code: status.PERMISSION_DENIED, details: error.message, metadata: null }
  return { code: status.UNAUTHENTICATED, details: 'the client certificate is not trusted', metadata: null }
}
