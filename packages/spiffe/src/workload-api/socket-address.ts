import { isIP } from 'node:net'
import { SpiffeError } from '../spiffe-error.ts'

export const defaultSocket = 'unix:///run/countersign/agent.sock'

/**
 * Where the Workload API is, as grpc-js names it, from `unix:///absolute/path`, `tcp://127.0.0.1:8000` or a plain
 * absolute path. Without an argument: SPIFFE_ENDPOINT_SOCKET, else Countersign's own socket.
 *
 * SPIFFE Workload Endpoint, section 4.
 *
 * @throws SpiffeError `invalid_configuration`
 */
export function grpcTarget(socket = process.env.SPIFFE_ENDPOINT_SOCKET || defaultSocket): string {
  if (socket.startsWith('/')) return `unix:${socket}`
  const url = URL.parse(socket)
  if (url?.protocol === 'unix:') return unixTarget(socket, url)
  if (url?.protocol === 'tcp:') return tcpTarget(socket, url)
  throw refused(socket, 'is neither unix:///path/of.sock nor tcp://ADDRESS:PORT')
}

function unixTarget(socket: string, url: URL): string {
  if (url.host !== '') throw refused(socket, 'names a host; a Unix socket is written with three slashes: unix:///path')
  if (url.search !== '' || url.hash !== '') throw refused(socket, 'has a query or fragment')
  if (!url.pathname.startsWith('/') || url.pathname === '/') throw refused(socket, 'has no absolute path')
  return `unix:${decodeURIComponent(url.pathname)}`
}

function tcpTarget(socket: string, url: URL): string {
  const address = url.hostname.replace(/^\[|\]$/g, '')
  const family = isIP(address)
  if (family === 0) throw refused(socket, 'names a host; the Workload API is reached by IP address only')
  if (url.port === '') throw refused(socket, 'has no port')
  if (!['', '/'].includes(url.pathname) || url.search !== '' || url.hash !== '' || url.username !== '') {
    throw refused(socket, 'has more than an address and a port')
  }
  return family === 4 ? `ipv4:${address}:${url.port}` : `ipv6:[${address}]:${url.port}`
}

function refused(socket: string, why: string): SpiffeError {
  return new SpiffeError(
    'invalid_configuration',
    `the Workload API socket ${JSON.stringify(socket)} ${why}; set SPIFFE_ENDPOINT_SOCKET or the option \`socket\``,
  )
}
