import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { request } from 'node:https'
import { formatPemCertificates, parsePemCertificates, spiffeId } from '@countersign/spiffe'
import { createTestAuthority, type TestAuthority } from '@countersign/spiffe/testing'
import { signJwtSvid } from '../certificate-authorities/sign-jwt-svid.ts'
import { signX509Svid } from '../certificate-authorities/sign-x509-svid.ts'
import { type MtlsListener, startMtlsListener } from '../http/mtls-listener.ts'
import { type Answer, startTestServer, type TestServer, type TestServerOptions } from '../server.fixture.ts'

export interface Credential {
  /** PEM */
  cert: string
  key: string
}

export interface MtlsServer extends TestServer {
  readonly mtls: MtlsListener
  /** The CA of plain client certificates */
  readonly clientCa: TestAuthority
  /** An X.509-SVID of the server's own trust domain, and its serial number */
  svid(path: string, options?: { ttlSeconds?: number }): Credential & { serialNumber: string; expiresAt: number }
  jwtSvid(
    path: string,
    audience: string[],
    options?: { ttlSeconds?: number },
  ): { token: string; jti: string; expiresAt: number }
  /** POSTs a form over the listener for certificates */
  postTls(
    path: string,
    form: Record<string, string>,
    credential?: Partial<Credential>,
    headers?: Record<string, string>,
  ): Promise<Answer>
}

export const trustDomain = 'example.org'

/** A whole server with a trust domain and a listener that asks for certificates. */
export async function startMtlsServer(options: TestServerOptions = {}): Promise<MtlsServer> {
  const clientCa = createTestAuthority('clients.test')
  let mtls: MtlsListener | undefined
  const server = await startTestServer({
    ...options,
    settings: { spiffe: { trustDomain }, ...options.settings },
    app: {
      mtls: {
        baseUrl: () => (mtls ? `https://localhost:${mtls.port}` : undefined),
        clientAuthorities: () => [clientCa.issuer.certificate],
        ...options.app?.mtls,
      },
      ...options.app,
    },
  })
  const certificate = credential(clientCa, { dnsNames: ['localhost'] })
  mtls = await startMtlsListener({ app: server.app, certificate, host: '127.0.0.1', port: 0 })
  const { ca, issuanceIds } = server.authority.workloadIdentity!
  const { port } = mtls
  return {
    ...server,
    mtls,
    clientCa,
    svid(path, { ttlSeconds = 600 } = {}) {
      const { key, publicKeyDer, pem } = newKey()
      const now = server.authority.now()
      const id = spiffeId(trustDomain, path)
      const signed = signX509Svid(ca, {
        id,
        publicKeyDer,
        ttlSeconds,
        serialNumber: issuanceIds.make('spiffe://example.org/spire/agent/test', 'entry', now + ttlSeconds),
        now,
      })
      const cert = formatPemCertificates(signed.chain)
      const serialNumber = parsePemCertificates(cert)[0]!.serialNumber
      return { cert, key: pem(key), serialNumber, expiresAt: signed.expiresAt }
    },
    jwtSvid(path, audience, { ttlSeconds = 300 } = {}) {
      const now = server.authority.now()
      const jti = issuanceIds.make('spiffe://example.org/spire/agent/test', 'entry', now + ttlSeconds).toString('hex')
      const signed = signJwtSvid(ca, { id: spiffeId(trustDomain, path), audience, ttlSeconds, jti, now })
      return { token: signed.token, jti, expiresAt: signed.expiresAt }
    },
    postTls: (path, form, shown = {}, headers = {}) => postTls(port, path, form, shown, headers),
    async close() {
      await mtls?.close()
      await server.close()
    },
  }
}

export function credential(authority: TestAuthority, options: Parameters<TestAuthority['certificate']>[0]): Credential {
  const { certificatePem: cert, keyPem: key } = authority.certificate(options)
  return { cert, key }
}

function newKey() {
  const { privateKey: key, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const pem = (private_: KeyObject) => private_.export({ format: 'pem', type: 'pkcs8' }) as string
  return { key, publicKeyDer: publicKey.export({ format: 'der', type: 'spki' }), pem }
}

/** On a connection of its own. */
function postTls(
  port: number,
  path: string,
  form: Record<string, string>,
  shown: Partial<Credential>,
  headers: Record<string, string>,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const asked = request(
      {
        host: '127.0.0.1',
        port,
        path,
        method: 'POST',
        agent: false,
        rejectUnauthorized: false,
        cert: shown.cert,
        key: shown.key,
        headers: { 'content-type': 'application/x-www-form-urlencoded', ...headers },
      },
      (response) => {
        let text = ''
        response.setEncoding('utf8').on('data', (part) => {
          text += part
        })
        response.on('end', () => {
          const json = text.startsWith('{') ? JSON.parse(text) : undefined
          resolve({ status: response.statusCode ?? 0, headers: new Headers(response.headers as never), text, json })
        })
      },
    )
    asked.on('error', reject).end(new URLSearchParams(form).toString())
  })
}
