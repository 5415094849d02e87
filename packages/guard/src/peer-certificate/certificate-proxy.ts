import { createAddressList, normaliseAddress } from '@countersign/limits'
import { type BundleSet, checkSpiffePattern, matchesSpiffePattern, verifyX509Svid } from '@countersign/spiffe'
import { GuardConfigurationError } from '../guard-error.ts'
import { oncePerConnection } from './once-per-connection.ts'
import type { PeerCertificate } from './peer-certificate.ts'

/**
 * A proxy that ends TLS and says in a header which certificate the client showed. It is believed only on connections that are
 * its own: by its X.509-SVID, or, weaker, by its address or because they come over a Unix socket.
 */
export interface CertificateProxyOptions {
  /** `client-cert`: RFC 9440. `xfcc`: X-Forwarded-Client-Cert of Envoy. */
  readonly header: 'client-cert' | 'xfcc'
  /** The proxy's SPIFFE IDs, exact or with `/*` at the end. They need `bundles`. */
  readonly spiffeIds?: readonly string[]
  /** Verifies the proxy's own certificate. Default: those of `mtls`. */
  readonly bundles?: BundleSet
  /** Addresses or networks that only the proxy has, such as `127.0.0.1` where nobody else is on the machine. */
  readonly addresses?: readonly string[]
  /** Believes whoever connects over a Unix socket: its permissions must keep others out. */
  readonly unixSocket?: boolean
}

export interface CertificateProxy {
  readonly header: 'client-cert' | 'xfcc'
  /** `now` in seconds since the epoch. */
  isProxy(connection: ProxyConnection, now: number): boolean
}

export interface ProxyConnection {
  readonly certificate: PeerCertificate | undefined
  readonly remoteAddress: string | undefined
  readonly isUnixSocket: boolean
}

/**
 * Throws GuardConfigurationError where nobody, or anybody, would be believed.
 * @param isRevokedSerial whether the SVID of this serial number, lower-case hex, has ended before its time
 */
export function createCertificateProxy(
  options: CertificateProxyOptions,
  otherBundles?: BundleSet,
  isRevokedSerial: (serialNumber: string) => boolean = () => false,
): CertificateProxy {
  const { header, spiffeIds = [], addresses = [], unixSocket = false, bundles = otherBundles } = options
  if (header !== 'client-cert' && header !== 'xfcc') throw unusable('"header" must be "client-cert" or "xfcc"')
  if (spiffeIds.length === 0 && addresses.length === 0 && !unixSocket) {
    throw unusable('name the proxy by "spiffeIds", "addresses" or "unixSocket", or anybody could send that header')
  }
  if (spiffeIds.length > 0 && bundles === undefined) throw unusable('"spiffeIds" need "bundles" to verify the proxy by')
  const list = readLists(spiffeIds, addresses)

  const isKnownId = oncePerConnection(bundles, (certificate, now) => {
    if (bundles === undefined || spiffeIds.length === 0) return false
    try {
      const id = verifyX509Svid(certificate.chain, bundles, now, { purpose: 'client' })
      return spiffeIds.some((pattern) => matchesSpiffePattern(id, pattern))
    } catch {
      // Not the proxy: whoever it is, his header is not looked at.
      return false
    }
  })

  return {
    header,
    isProxy({ certificate, remoteAddress, isUnixSocket }, now) {
      if (isUnixSocket && unixSocket) return true
      const address = normaliseAddress(remoteAddress ?? '')
      if (address !== undefined && list.has(address)) return true
      if (certificate === undefined || isRevokedSerial(certificate.leaf.serialNumber)) return false
      return isKnownId(certificate, now)
    },
  }
}

function readLists(spiffeIds: readonly string[], addresses: readonly string[]): { has(address: string): boolean } {
  try {
    for (const pattern of spiffeIds) checkSpiffePattern(pattern)
    return createAddressList(addresses)
  } catch (error) {
    throw unusable((error as Error).message)
  }
}

function unusable(message: string): GuardConfigurationError {
  return new GuardConfigurationError(`certificateProxy: ${message}`)
}
