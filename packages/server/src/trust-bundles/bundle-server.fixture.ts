import { createServer, type ServerOptions } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { Duplex } from 'node:stream'
import { type Bundle, formatBundleDocument, formatPemCertificates, type X509Svid } from '@countersign/spiffe'
import type { TestAuthority } from '@countersign/spiffe/testing'

/** Another trust domain's bundle endpoint: a real HTTPS server, whose answer and certificate are in the test's hand. */
export interface BundleServer {
  url: string
  /** What it answers; a number for a status */
  answer: string | number
  /** What is done before it answers */
  beforeAnswer: () => Promise<unknown>
  /** How often it was asked */
  asked: number
  close(): Promise<void>
}

export async function startBundleServer(
  options: ServerOptions,
  answer: BundleServer['answer'] = 404,
): Promise<BundleServer> {
  const sockets = new Set<Duplex>()
  const listening = createServer(options, async (_request, reply) => {
    server.asked += 1
    await server.beforeAnswer()
    if (typeof server.answer === 'number') {
      reply.writeHead(server.answer, { location: 'https://127.0.0.1:1/' }).end()
      return
    }
    reply.writeHead(200, { 'content-type': 'application/json' }).end(server.answer)
  })
  listening.on('connection', (socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
  })
  await new Promise<void>((resolve) => listening.listen(0, '127.0.0.1', resolve))
  const { port } = listening.address() as AddressInfo
  const server: BundleServer = {
    url: `https://localhost:${port}/bundle`,
    answer,
    beforeAnswer: async () => {},
    asked: 0,
    close: () =>
      new Promise((resolve) => {
        listening.close(() => resolve())
        for (const socket of sockets) socket.destroy()
      }),
  }
  return server
}

/** TLS options of a server that shows this SVID. */
export function withSvid({ certificates, privateKey }: X509Svid): ServerOptions {
  return {
    cert: formatPemCertificates(certificates),
    key: privateKey.export({ format: 'pem', type: 'pkcs8' }) as string,
  }
}

/** The bundle of a trust domain of tests as it is published, with what is given instead. */
export function documentOf({ bundle }: TestAuthority, parts: Partial<Bundle> = {}): string {
  return formatBundleDocument({ ...bundle, ...parts })
}
