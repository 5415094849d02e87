import { isIP } from 'node:net'
import { createSecureContext, type PeerCertificate } from 'node:tls'
import {
  type Certificate,
  createBundle,
  formatPemCertificates,
  parseCertificate,
  serverId,
  shownCertificates,
  toPem,
  verifyX509Svid,
} from '@countersign/spiffe'
import {
  ChannelCredentials,
  Client,
  type ClientDuplexStream,
  Metadata,
  type MethodDefinition,
  type ServiceError,
  status,
} from '@grpc/grpc-js'
import type { AgentIdentity } from '../agent-identity/agent-identity.ts'
import { type Clock, nowSeconds } from '../clock.ts'

/** How long the server may take for one call, as SPIRE's agent has it. */
export const callDeadlineMilliseconds = 30_000

/** What the server may send in one message; SPIRE pages what could be more. */
const largestMessageBytes = 16 * 1024 * 1024

/** One gRPC channel to the server's node API. */
export interface ServerConnection {
  call<Request, Response>(method: MethodDefinition<Request, Response>, request: Request): Promise<Response>
  stream<Request, Response>(method: MethodDefinition<Request, Response>): ClientDuplexStream<Request, Response>
  /** Takes no new calls, and closes when those under way have ended. */
  close(): void
}

/** What the server's certificate is judged by. */
export type ServerTrust =
  /** It must chain to one of these. */
  | { readonly anchors: readonly Certificate[] }
  /** It must be this very one. */
  | { readonly pinned: Certificate }

export interface ServerConnectionOptions {
  /** `host:port` */
  readonly address: string
  readonly trustDomain: string
  readonly trust: ServerTrust
  /** Unset: no client certificate is shown. */
  readonly identity?: AgentIdentity
  readonly clock: Clock
  /** Default 30,000. */
  readonly deadlineMilliseconds?: number
}

/**
 * Connects when it is first used, and again whenever the server ends the connection or lets a call wait in vain. The
 * server is who shows a certificate of the anchors with exactly the ID `spiffe://TRUST_DOMAIN/spire/server`; host names
 * do not matter.
 */
export function openServerConnection(options: ServerConnectionOptions): ServerConnection {
  const { deadlineMilliseconds = callDeadlineMilliseconds } = options
  const deadline = () => ({ deadline: Date.now() + deadlineMilliseconds })
  // Tells the server that entry policies are enforced here; only a Countersign server takes notice.
  const metadata = () => {
    const sent = new Metadata()
    sent.set('countersign-agent', '1')
    return sent
  }
  let channel = openChannel(options)
  let closed = false

  /** Takes the channel for one call; what comes back is to be called with the code that the call ended with. */
  const begin = () => {
    const used = channel
    used.underWay += 1
    const ended = (code: number | undefined) => {
      used.underWay -= 1
      // Perhaps nobody is at the other end any more, which TCP tells after a quarter of an hour: elsewhere a server may be.
      if (code === status.DEADLINE_EXCEEDED && used === channel && !closed) {
        retire(channel)
        channel = openChannel(options)
      } else if (used.retired && used.underWay === 0) used.client.close()
    }
    return { client: used.client, ended }
  }

  return {
    call: (method, request) =>
      new Promise((resolve, reject) => {
        const { client, ended } = begin()
        client.makeUnaryRequest(
          method.path,
          method.requestSerialize,
          method.responseDeserialize,
          request,
          metadata(),
          deadline(),
          (error: ServiceError | null, response) => {
            ended(error?.code)
            if (error !== null) reject(error)
            else resolve(response as never)
          },
        )
      }),
    stream: (method) => {
      const { client, ended } = begin()
      const stream = client.makeBidiStreamRequest(
        method.path,
        method.requestSerialize,
        method.responseDeserialize,
        metadata(),
        deadline(),
      )
      stream.once('status', ({ code }: { code: number }) => ended(code))
      return stream
    },
    close: () => {
      closed = true
      retire(channel)
    },
  }
}

interface Channel {
  readonly client: Client
  underWay: number
  /** Closed when the calls under way have ended. */
  retired: boolean
}

function openChannel(options: ServerConnectionOptions): Channel {
  const client = new Client(options.address, serverCredentials(options), {
    'grpc.use_local_subchannel_pool': 1,
    'grpc.max_receive_message_length': largestMessageBytes,
    'grpc.initial_reconnect_backoff_ms': 500,
    'grpc.max_reconnect_backoff_ms': 5_000,
    'grpc.enable_retries': 0,
    ...serverName(options),
  })
  return { client, underWay: 0, retired: false }
}

function retire(channel: Channel): void {
  if (channel.retired) return
  channel.retired = true
  if (channel.underWay === 0) channel.client.close()
}

function serverCredentials(options: ServerConnectionOptions): ChannelCredentials {
  const { identity, trust } = options
  const context = createSecureContext({
    ca: ('pinned' in trust ? [trust.pinned] : trust.anchors).map((anchor) => toPem(anchor.der)),
    // A bundle may hold an intermediate without the root above it, and a pinned leaf stands for itself.
    allowPartialTrustChain: true,
    minVersion: 'TLSv1.2',
    ...(identity && {
      cert: formatPemCertificates(identity.certificates),
      key: identity.privateKey.export({ type: 'pkcs8', format: 'pem' }),
    }),
  })
  return ChannelCredentials.createFromSecureContext(context, {
    // Called when the chain already verified; the name looked for is the SPIFFE ID, never the host's.
    checkServerIdentity: (_host, certificate) => {
      try {
        checkServer(certificate, options)
        return undefined
      } catch (error) {
        return error as Error
      }
    },
  })
}

/** An address is no name that may be asked for in TLS (RFC 6066, section 3); the server looks at none. */
function serverName({ address, trustDomain }: ServerConnectionOptions): Record<string, string> {
  const host = address.slice(0, address.lastIndexOf(':')).replace(/^\[|\]$/g, '')
  return isIP(host) === 0 ? {} : { 'grpc.ssl_target_name_override': trustDomain }
}

function checkServer(peer: PeerCertificate, { trust, trustDomain, address, clock }: ServerConnectionOptions): void {
  const chain = shownCertificates(peer).map((der) => parseCertificate(der))
  if ('pinned' in trust) {
    if (chain[0]?.der.equals(trust.pinned.der)) return
    throw new Error(`the server at ${address} shows another certificate than a moment ago`)
  }
  const expected = serverId(trustDomain).toString()
  // Said first: of another trust domain there is no bundle here, which would explain nothing.
  if (!chain[0]?.uris.includes(expected))
    throw new Error(`the server at ${address} shows ${shownId(chain[0])}, not ${expected}; is the trust domain right?`)
  const bundles = new Map([[trustDomain, createBundle({ trustDomain, x509Authorities: trust.anchors })]])
  const id = verifyX509Svid(chain, bundles, nowSeconds(clock))
  if (id.toString() !== expected) throw new Error(`the server at ${address} is ${id}, not ${expected}`)
}

/** What a certificate says of whose it is, safe to print. */
export function shownId(leaf: Certificate | undefined): string {
  const [uri] = leaf?.uris ?? []
  return uri === undefined ? 'no SPIFFE ID' : uri.slice(0, 300).replace(/[^\x21-\x7e]/g, '?')
}
