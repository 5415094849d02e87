import { type RequestLike, readHeader } from '../bearer-token.ts'
import type { CertificateProxy } from './certificate-proxy.ts'
import { parseClientCert } from './client-cert-header.ts'
import { connectionCertificate } from './connection-certificate.ts'
import { parseForwardedClientCert } from './forwarded-client-cert.ts'
import { type PeerCertificate, PeerCertificateError, readPeerCertificate } from './peer-certificate.ts'

/** Finds the certificate of a request's client: its connection's, or what a proxy tells of it. Throws PeerCertificateError. */
export type FindPeerCertificate = (request: RequestLike) => PeerCertificate | undefined

/** `now` in milliseconds since the epoch. */
export function createFindPeerCertificate(
  proxy: CertificateProxy | undefined,
  now: () => number = Date.now,
): FindPeerCertificate {
  if (proxy === undefined) return ofConnection
  const forwarded = createForwarded(proxy.header)
  return (request) => {
    const { socket } = request
    const connection = {
      certificate: ofConnection(request),
      remoteAddress: remoteAddressOf(socket),
      isUnixSocket: isUnixSocket(socket),
    }
    const { leaf, chain } = readHeaders(request, proxy.header)
    const isProxy = proxy.isProxy(connection, now() / 1000)
    if (isProxy) return forwarded(leaf, chain)
    if (leaf !== undefined || chain !== undefined) {
      throw new PeerCertificateError(
        'untrusted_proxy',
        'a client certificate came in a header, and not from a proxy of ours',
      )
    }
    return connection.certificate
  }
}

function ofConnection({ socket, peerCertificates }: RequestLike): PeerCertificate | undefined {
  if (peerCertificates !== undefined) return given(peerCertificates)
  return socket === undefined ? undefined : connectionCertificate(socket)
}

/** Read once for each list: whoever serves many requests of one connection gives the same list again. */
function given(certificates: readonly Uint8Array[]): PeerCertificate | undefined {
  const known = read.get(certificates)
  if (known !== undefined) return known
  const peer = readPeerCertificate(certificates)
  if (peer !== undefined) read.set(certificates, peer)
  return peer
}

const read = new WeakMap<readonly Uint8Array[], PeerCertificate>()

function remoteAddressOf(socket: object | undefined): string | undefined {
  return (socket as { remoteAddress?: string } | undefined)?.remoteAddress
}

/** A connection that was reset has no remote address either: only the server knows that it listens on a path. */
function isUnixSocket(socket: object | undefined): boolean {
  const { server } = (socket ?? {}) as { server?: { address?: () => unknown } | null }
  return typeof server?.address?.() === 'string'
}

function readHeaders(request: RequestLike, kind: CertificateProxy['header']): { leaf?: string; chain?: string } {
  if (kind === 'xfcc') return { leaf: single(request, 'x-forwarded-client-cert', true) }
  return { leaf: single(request, 'client-cert', false), chain: single(request, 'client-cert-chain', true) }
}

/** Of what came several times Node makes a list, or keeps the first: only `rawHeaders` tells. */
function single({ headers, rawHeaders }: RequestLike, name: string, isList: boolean): string | undefined {
  const lines: string[] = []
  if (rawHeaders === undefined) {
    const value = readHeader(headers, name)
    if (value !== undefined) lines.push(...[value].flat())
  } else {
    for (let index = 0; index < rawHeaders.length; index += 2) {
      const header = rawHeaders[index]!
      if (header.length === name.length && header.toLowerCase() === name) lines.push(rawHeaders[index + 1]!)
    }
  }
  if (lines.length > 1 && !isList) throw new PeerCertificateError('malformed_header', `${name} came more than once`)
  return lines.length === 0 ? undefined : lines.join(',')
}

/** A proxy tells of the same few certificates again and again: each is read once. */
function createForwarded(kind: CertificateProxy['header']) {
  const known = new Map<string, PeerCertificate>()
  return (leaf: string | undefined, chain: string | undefined): PeerCertificate | undefined => {
    const text = JSON.stringify([leaf, chain])
    const found = known.get(text)
    if (found !== undefined) return found
    const peer = readPeerCertificate(kind === 'xfcc' ? parseForwardedClientCert(leaf) : parseClientCert(leaf, chain))
    if (peer === undefined) return undefined
    if (known.size >= mostKnown) known.delete(known.keys().next().value!)
    known.set(text, peer)
    return peer
  }
}

const mostKnown = 1_000
