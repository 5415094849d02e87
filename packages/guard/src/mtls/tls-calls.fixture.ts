import type { IncomingHttpHeaders, RequestListener } from 'node:http'
import { createServer, request, type Server } from 'node:https'
import type { AddressInfo } from 'node:net'
import { formatPemCertificates, type X509Svid } from '@countersign/spiffe'
import { createTestAuthority, type TestAuthority } from '@countersign/spiffe/testing'

export interface Credential {
  readonly cert: string
  readonly key: string
}

/** As TLS takes it; `extra` certificates go along. */
export function credentialOf(svid: X509Svid, extra: readonly { der: Uint8Array }[] = []): Credential {
  const cert = formatPemCertificates([...svid.certificates, ...extra])
  return { cert, key: svid.privateKey.export({ format: 'pem', type: 'pkcs8' }) as string }
}

export function plainCredential(
  authority: TestAuthority,
  options: Parameters<TestAuthority['certificate']>[0],
): Credential {
  const { certificatePem: cert, keyPem: key } = authority.certificate(options)
  return { cert, key }
}

export interface TlsServer {
  readonly port: number
  readonly server: Server
  close(): Promise<void>
}

const serverAuthority = createTestAuthority('servers.test')

/** Over https on a real socket, asking for a client certificate and leaving the judgement to the guard. */
export async function listenTls(listener: RequestListener, options: object = {}): Promise<TlsServer> {
  const own = plainCredential(serverAuthority, { dnsNames: ['localhost'] })
  const server = createServer({ ...own, requestCert: true, rejectUnauthorized: false, ...options }, listener)
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  return {
    port: (server.address() as AddressInfo).port,
    server,
    async close() {
      server.closeAllConnections()
      await new Promise((done) => server.close(done))
    },
  }
}

export interface TlsAnswer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  // biome-ignore lint/suspicious/noExplicitAny: tests look at what is there
  readonly json: any
}

/** One request on a connection of its own, with or without a certificate. */
export function callTls(
  { port }: Pick<TlsServer, 'port'>,
  credential?: Partial<Credential>,
  {
    path = '/',
    headers = {},
    ...options
  }: { path?: string; headers?: Record<string, string | string[]>; agent?: object } = {},
): Promise<TlsAnswer> {
  return new Promise((resolve, reject) => {
    const asked = request(
      {
        host: '127.0.0.1',
        port,
        path,
        headers,
        agent: false,
        rejectUnauthorized: false,
        ...credential,
        ...options,
      } as never,
      (response) => {
        let text = ''
        response.setEncoding('utf8').on('data', (part) => (text += part))
        response.on('end', () =>
          resolve({
            status: response.statusCode ?? 0,
            headers: response.headers,
            json: text === '' ? undefined : JSON.parse(text),
          }),
        )
      },
    )
    asked.on('error', reject).end()
  })
}
