import type { RequestListener } from 'node:http'
import {
  createSecureServer,
  type Http2SecureServer,
  type Http2ServerRequest,
  type Http2ServerResponse,
  type SecureServerOptions,
} from 'node:http2'
import { createServer, type Server as HttpsServer, type ServerOptions } from 'node:https'
import { createServer as createPlainTlsServer, type TLSSocket, type Server as TlsServer } from 'node:tls'
import type { PeerAuthorizer } from './peer-authorizer.ts'
import { type ProtectOptions, protectServer, serverTlsOptions } from './protect-server.ts'
import type { TlsSource } from './tls-source.ts'

/** A `tls.Server` that hands on only clients that `authorize` lets in, and always shows the newest identity. */
export function createTlsServer(
  source: TlsSource,
  authorize: PeerAuthorizer,
  onConnection: (socket: TLSSocket) => void,
  options: ProtectOptions = {},
): TlsServer {
  const server = createPlainTlsServer(serverTlsOptions(), onConnection)
  protectServer(server, source, authorize, options)
  return server
}

/** The same as an `https.Server`; `http` are options of `https.createServer` other than those of TLS. */
export function createHttpsServer(
  source: TlsSource,
  authorize: PeerAuthorizer,
  handler: RequestListener,
  options: ProtectOptions & { http?: ServerOptions } = {},
): HttpsServer {
  const server = createServer({ ...options.http, ...serverTlsOptions() }, handler)
  protectServer(server, source, authorize, options)
  return server
}

/** The same for HTTP/2; `http: { allowHTTP1: true }` serves both. */
export function createHttp2Server(
  source: TlsSource,
  authorize: PeerAuthorizer,
  handler: (request: Http2ServerRequest, response: Http2ServerResponse) => void,
  options: ProtectOptions & { http?: SecureServerOptions } = {},
): Http2SecureServer {
  const server = createSecureServer({ ...options.http, ...serverTlsOptions() }, handler)
  protectServer(server, source, authorize, options)
  return server
}
