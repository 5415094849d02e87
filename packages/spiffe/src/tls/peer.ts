import type { ServerHttp2Session } from 'node:http2'
import type { TLSSocket } from 'node:tls'
import type { Certificate } from '../certificates/certificate.ts'
import type { SpiffeId } from '../ids/spiffe-id.ts'
import { SpiffeError } from '../spiffe-error.ts'
import { verifyX509Svid } from '../svids/x509-svid.ts'
import type { PeerAuthorizer } from './peer-authorizer.ts'
import type { TlsSource } from './tls-source.ts'

/** Who is at the other end of a connection, proven and authorised. */
export interface Peer {
  readonly id: SpiffeId
  /** The leaf */
  readonly certificate: Certificate
  /** Leaf first */
  readonly chain: readonly Certificate[]
}

export interface PeerRules {
  /** What the peer is in this connection */
  readonly purpose: 'client' | 'server'
  /** Whether a leaf's serial number (lower-case hex) has been revoked */
  readonly isRevoked?: (serialNumber: string) => boolean
  /** Milliseconds since the epoch; for tests */
  readonly now?: () => number
}

/**
 * The peer that a chain proves by the bundle of the trust domain in its own ID, if `authorize` lets it in.
 *
 * @throws SpiffeError `untrusted_svid`, `expired_svid`, `invalid_svid`, `invalid_certificate`, `unauthorized_peer`
 */
export function verifyPeer(
  chain: readonly Certificate[],
  source: TlsSource,
  authorize: PeerAuthorizer,
  rules: PeerRules,
): Peer {
  const [leaf] = chain
  if (leaf === undefined) throw new SpiffeError('untrusted_svid', `the ${rules.purpose} has sent no certificate`)
  const id = verifyX509Svid(chain, source.bundles, nowSeconds(rules), { purpose: rules.purpose })
  if (rules.isRevoked?.(leaf.serialNumber)) {
    throw new SpiffeError('untrusted_svid', `the certificate ${leaf.serialNumber} of ${id} has been revoked`)
  }
  if (!isAuthorized(authorize, id, leaf)) {
    throw new SpiffeError('unauthorized_peer', `${id} is not among those that this ${other(rules.purpose)} talks to`)
  }
  return Object.freeze({ id, certificate: leaf, chain })
}

/** Whether the peer of a living connection would still be believed. */
export function isStillTrusted({ chain }: Peer, source: TlsSource, rules: PeerRules): boolean {
  try {
    verifyX509Svid(chain, source.bundles, nowSeconds(rules), { purpose: rules.purpose })
    return true
  } catch {
    return false
  }
}

/**
 * Who is at the other end of a connection that this package has made or let in: of a `TLSSocket`, or of a request or HTTP/2
 * session on one. Undefined for every other connection.
 */
export function peerOf(connection: object | undefined | null): Peer | undefined {
  for (let at: unknown = connection, depth = 0; isObject(at) && depth < 4; depth += 1) {
    if (at[peerKey] !== undefined) return at[peerKey] as Peer
    at = at.socket ?? at.session ?? at.stream
  }
  return undefined
}

/** Only what has verified the peer calls this. */
export function setPeer(connection: TLSSocket | ServerHttp2Session, peer: Peer): void {
  Object.defineProperty(connection, peerKey, { value: peer })
}

// A property rather than a WeakMap: an HTTP/2 session shows its socket only through a proxy, which has the property too.
const peerKey = Symbol('SPIFFE peer')

function isObject(value: unknown): value is Record<PropertyKey, unknown> {
  return typeof value === 'object' && value !== null
}

function isAuthorized(authorize: PeerAuthorizer, id: SpiffeId, leaf: Certificate): boolean {
  try {
    // A promise is truthy: an asynchronous predicate would let everyone in.
    return authorize(id, leaf) === true
  } catch (error) {
    throw new SpiffeError('unauthorized_peer', `the rule of whom to talk to failed on ${id}: ${error}`, {
      cause: error,
    })
  }
}

function nowSeconds({ now = Date.now }: PeerRules): number {
  return now() / 1000
}

function other(purpose: PeerRules['purpose']): string {
  return purpose === 'client' ? 'server' : 'client'
}
