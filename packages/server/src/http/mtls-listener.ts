import { constants } from 'node:crypto'
import { createServer } from 'node:https'
import type { FastifyInstance } from 'fastify'

export interface ServingCertificate {
  /** PEM */
  cert: string
  key: string
}

export interface MtlsListenerOptions {
  /** Ready, whether or not it listens by itself too */
  app: FastifyInstance
  certificate: ServingCertificate
  host: string
  port: number
}

export interface MtlsListener {
  readonly port: number
  /** For new connections */
  renew(certificate: ServingCertificate): void
  /** Takes no more connections, and ends when those there are have ended */
  close(): Promise<void>
}

/** Whoever draws his handshake out holds a socket no longer than this. */
const handshakeMilliseconds = 10_000

/**
 * The same routes over HTTPS that asks for a client certificate. TLS sees that the client has its key; whether it is anybody is for
 * client authentication to say, so that clients with a secret may come here too. Without tickets: a session that is resumed
 * would not bring its chain.
 */
export async function startMtlsListener({ app, certificate, host, port }: MtlsListenerOptions): Promise<MtlsListener> {
  await app.ready()
  const { headersTimeout, requestTimeout, keepAliveTimeout } = app.server
  const server = createServer(
    {
      ...contextOf(certificate),
      requestCert: true,
      rejectUnauthorized: false,
      handshakeTimeout: handshakeMilliseconds,
      headersTimeout,
      requestTimeout,
      keepAliveTimeout,
    },
    (request, response) => app.routing(request, response),
  )
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen({ host, port }, () => {
      server.off('error', reject)
      resolve()
    })
  })
  return {
    port: (server.address() as { port: number }).port,
    renew: (next) => server.setSecureContext(contextOf(next)),
    async close() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      const idle = setInterval(() => server.closeIdleConnections(), 50)
      await closed
      clearInterval(idle)
    },
  }
}

function contextOf({ cert, key }: ServingCertificate) {
  return { cert, key, minVersion: 'TLSv1.2' as const, secureOptions: constants.SSL_OP_NO_TICKET }
}
