import { peerOf } from '@countersign/spiffe/grpc'
import type { Peer } from '@countersign/spiffe/tls'
import type { Metadata } from '@grpc/grpc-js'

/**
 * The certificates of a call's client, DER and leaf first. Of a server with `grpcServerCredentials` the whole chain; of another one,
 * which must have verified the client itself, grpc-js shows no more than the leaf.
 */
export function callCertificates(call: { metadata: Metadata }): readonly Uint8Array[] | undefined {
  const peer = peerOf(call)
  if (peer !== undefined) return chainOf(peer)
  const { sslPeerCertificate } = (call as Partial<AuthenticatedCall>).getAuthContext?.() ?? {}
  if (sslPeerCertificate?.raw === undefined) return undefined
  return leafOf(sslPeerCertificate.fingerprint256, sslPeerCertificate.raw)
}

interface AuthenticatedCall {
  getAuthContext(): { sslPeerCertificate?: { raw?: Buffer; fingerprint256: string } } | undefined
}

const chains = new WeakMap<Peer, readonly Uint8Array[]>()

function chainOf(peer: Peer): readonly Uint8Array[] {
  const known = chains.get(peer) ?? peer.chain.map(({ der }) => der)
  chains.set(peer, known)
  return known
}

/** The same list for the same certificate, so that what was found out about it can be remembered. */
function leafOf(fingerprint: string, raw: Buffer): readonly Uint8Array[] {
  const known = leaves.get(fingerprint)
  if (known !== undefined) return known
  if (leaves.size >= mostLeaves) leaves.delete(leaves.keys().next().value!)
  const list = [raw]
  leaves.set(fingerprint, list)
  return list
}

const leaves = new Map<string, readonly Uint8Array[]>()
const mostLeaves = 1_000
