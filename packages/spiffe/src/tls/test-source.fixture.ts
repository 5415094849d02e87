import { X509Certificate } from 'node:crypto'
import type { AddressInfo, Server } from 'node:net'
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls'
import type { Bundle } from '../bundles/bundle.ts'
import { formatPemCertificates, toPem } from '../certificates/pem.ts'
import { newSerialNumber } from '../certificates/serial-number.ts'
import type { X509Svid } from '../svids/x509-svid.ts'
import type { TestAuthority } from '../test-authority.ts'
import type { TlsSource } from './tls-source.ts'

/** A source that a test rotates by hand. */
export interface TestSource extends TlsSource {
  /** A new SVID for the same path, and the bundle as the authority has it now. */
  rotate(): void
  /** `undefined`: the identity is gone. */
  set(svid: X509Svid | undefined, bundles?: readonly Bundle[]): void
}

export function testSource(
  authority: TestAuthority,
  path: string,
  options: { federated?: readonly Bundle[]; lifetimeSeconds?: number } = {},
): TestSource {
  const { federated = [], lifetimeSeconds } = options
  const listeners = new Set<() => void>()
  let svid: X509Svid | undefined
  let bundles = new Map<string, Bundle>()
  const source: TestSource = {
    svid() {
      if (svid === undefined) throw new Error('the test has taken the identity away')
      return svid
    },
    get bundles() {
      return bundles
    },
    onUpdate(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    rotate: () => source.set(authority.x509Svid(path, { lifetimeSeconds }), [authority.bundle, ...federated]),
    set(next, nextBundles) {
      svid = next
      if (nextBundles) bundles = new Map(nextBundles.map((bundle) => [bundle.trustDomain, bundle]))
      for (const listener of listeners) listener()
    },
  }
  source.rotate()
  return source
}

/** Certificate and key as node:tls takes them. */
export function pemOf(svid: X509Svid): { cert: string; key: string } {
  return {
    cert: formatPemCertificates(svid.certificates),
    key: svid.privateKey.export({ format: 'pem', type: 'pkcs8' }) as string,
  }
}

/** An SVID as it should not be: with other times, or for an ID of another trust domain. */
export function oddCertificate(
  authority: TestAuthority,
  uris: string[],
  times: { notBefore: number; notAfter: number },
): { cert: string; key: string } {
  const { certificatePem, keyPem } = authority.certificate({ uris })
  const now = Math.floor(Date.now() / 1000)
  const der = authority.issuer.issue({
    uris,
    publicKeyDer: new X509Certificate(certificatePem).publicKey.export({ format: 'der', type: 'spki' }),
    serialNumber: newSerialNumber(),
    notBefore: now + times.notBefore,
    notAfter: now + times.notAfter,
  })
  return { cert: toPem(der), key: keyPem }
}

export async function listen(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return (server.address() as AddressInfo).port
}

/** What a client of node:tls itself sees: the bytes it gets before the connection ends, or the error. */
export function talk(port: number, options: ConnectionOptions, send = 'GET / HTTP/1.0\r\n\r\n'): Promise<string> {
  return new Promise((resolve) => {
    let got = ''
    const socket: TLSSocket = connect({ port, host: '127.0.0.1', rejectUnauthorized: false, ...options }, () => {
      socket.write(send)
    })
    socket.on('data', (chunk) => {
      got += chunk
    })
    socket.on('error', (error: NodeJS.ErrnoException) => resolve(got || `error ${error.code}`))
    socket.on('close', () => resolve(got || 'closed'))
  })
}
