import type { TLSSocket } from 'node:tls'
import type { Certificate, SpiffeId } from '@countersign/spiffe'

/** A connection that has shaken hands. */
export interface NodeConnection {
  /** What grpc-js gives as the peer of each call on it */
  readonly name: string
  /** Where it came from */
  readonly address: string
  /** Who it is, proven by its certificate; anonymous without one */
  readonly peer: NodePeer | undefined
}

export interface NodePeer {
  readonly id: SpiffeId
  /** As it was given, leaf first */
  readonly chain: readonly Certificate[]
  readonly leaf: Certificate
  /** By its ID; whether it is attested is another question */
  readonly isAgent: boolean
}

/**
 * grpc-js tells a handler of its connection nothing but the socket's address, so the socket's address becomes a name
 * that only it has: two connections may come from the same address and port, to two addresses of ours.
 */
export function nameSocket(socket: TLSSocket, name: string): void {
  Object.defineProperty(socket, 'remoteAddress', { value: name })
  Object.defineProperty(socket, 'remotePort', { value: undefined })
}
