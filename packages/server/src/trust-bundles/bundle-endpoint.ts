import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { Authority } from '../authority.ts'
import { createOwnSvid } from '../certificate-authorities/own-svid.ts'
import { workloadIdentityOf } from '../workload-identity.ts'
import { bundleDocuments } from './bundle-route.ts'

export interface BundleEndpoint {
  readonly port: number
  close(): Promise<void>
}

export interface BundleEndpointOptions {
  authority: Authority
  host: string
  /** 0 for any that is free */
  port: number
  /** Of the SVID it shows; default 3600 */
  lifetimeSeconds?: number
  onError: (what: string, error: unknown) => void
}

const mostConnections = 256
const longestHeaders = 8 * 1024

/**
 * Serves the trust domain's bundle with the trust domain's own SVID (the profile `https_spiffe`): others know us by our
 * SPIFFE ID, `spiffe://TRUST_DOMAIN/spire/server`, without a certificate of the web. Any path will do; nothing else is here.
 * @throws CaUnavailable, or what listening failed with
 */
export async function startBundleEndpoint(options: BundleEndpointOptions): Promise<BundleEndpoint> {
  const { authority, lifetimeSeconds = 3600, onError } = options
  const { trustDomain, ca, issuanceIds } = workloadIdentityOf(authority)
  const { audit, now } = authority
  const own = await createOwnSvid({ trustDomain, ca, issuanceIds, lifetimeSeconds, audit, now })
  const documentOf = bundleDocuments()
  const server = createServer(
    {
      ...own.current(),
      minVersion: 'TLSv1.2',
      maxHeaderSize: longestHeaders,
      requestTimeout: 10_000,
      headersTimeout: 10_000,
      handshakeTimeout: 10_000,
    },
    (request, reply) => {
      const isRead = request.method === 'GET' || request.method === 'HEAD'
      const { text, etag, maximumAgeSeconds = 0 } = documentOf(ca.bundle())
      if (!isRead) return void reply.writeHead(405, { allow: 'GET, HEAD', connection: 'close' }).end()
      const headers = { 'cache-control': `public, max-age=${maximumAgeSeconds}`, etag }
      if (request.headers['if-none-match'] === etag) return void reply.writeHead(304, headers).end()
      reply.writeHead(200, { ...headers, 'content-type': 'application/json' }).end(text)
    },
  )
  server.maxConnections = mostConnections
  const stop = own.follow(
    (pair) => server.setSecureContext({ ...pair, minVersion: 'TLSv1.2' }),
    (error) => onError("renewing the bundle endpoint's SVID", error),
  )
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject).listen(options.port, options.host, () => resolve())
    })
  } catch (error) {
    stop()
    throw error
  }
  return {
    port: (server.address() as AddressInfo).port,
    close() {
      stop()
      return new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      })
    },
  }
}
