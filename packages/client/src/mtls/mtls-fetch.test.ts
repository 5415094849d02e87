import { createHash } from 'node:crypto'
import { createServer, type Server } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { formatPemCertificates, toPem, type X509Svid } from '@countersign/spiffe'
import { createTestAuthority } from '@countersign/spiffe/testing'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { createClient } from '../client.ts'
import { createMtlsFetch } from './mtls-fetch.ts'

const authority = createTestAuthority('example.org')
const ca = toPem(authority.issuer.certificate.der)
const seen: { path: string; form?: URLSearchParams; authorization?: string; thumbprint: string | undefined }[] = []
let server: Server
let origin: string

/** A token server and an API in one, which tell whose certificate they saw. Tokens are named by the certificate. */
beforeAll(async () => {
  const { certificatePem: cert, keyPem: key } = authority.certificate({ dnsNames: ['localhost'] })
  server = createServer({ cert, key, requestCert: true, rejectUnauthorized: false }, (request, response) => {
    let body = ''
    request.on('data', (part) => {
      body += part
    })
    request.on('end', () => {
      const { raw } = (request.socket as TLSSocket).getPeerCertificate()
      const thumbprint = raw && createHash('sha256').update(raw).digest('base64url')
      const { authorization } = request.headers
      seen.push({ path: request.url!, thumbprint, authorization, form: new URLSearchParams(body) })
      const answers: Record<string, object> = {
        '/.well-known/oauth-authorization-server': {
          issuer: `${origin}/`,
          token_endpoint: `${origin}/oauth/token`,
          mtls_endpoint_aliases: { token_endpoint: `${origin}/mtls/token` },
        },
        '/mtls/token': { access_token: `bound-${thumbprint}`, token_type: 'Bearer', expires_in: 3600 },
      }
      response.setHeader('content-type', 'application/json')
      response.end(JSON.stringify(answers[request.url!] ?? { thumbprint }))
    })
  })
  await new Promise<void>((done) => server.listen(0, 'localhost', done))
  origin = `https://localhost:${(server.address() as AddressInfo).port}`
})
afterAll(async () => {
  server.closeAllConnections()
  await new Promise((done) => server.close(done))
})
beforeEach(() => {
  seen.length = 0
})

function thumbprintOf(svid: X509Svid): string {
  return createHash('sha256').update(svid.certificates[0]!.der).digest('base64url')
}

describe('createMtlsFetch', () => {
  it('shows the certificate, and the newest one of a source from the next request on', async () => {
    let svid = authority.x509Svid('/orders')
    const mtlsFetch = createMtlsFetch({ certificate: { svid: () => svid }, ca })
    const ask = async () => ((await (await mtlsFetch(`${origin}/who`)).json()) as { thumbprint: string }).thumbprint
    expect([await ask(), await ask()]).toEqual(Array(2).fill(thumbprintOf(svid)))
    expect(mtlsFetch.credentialVersion()).toBe(thumbprintOf(svid))
    svid = authority.x509Svid('/orders')
    expect(await ask()).toBe(thumbprintOf(svid))
    await mtlsFetch.close()
  })

  it('believes no server but those of its CAs, by their names', async () => {
    const certificate = { svid: () => authority.x509Svid('/orders') }
    const strict = createMtlsFetch({ certificate })
    await expect(strict(`${origin}/who`)).rejects.toThrow()
    const own = createMtlsFetch({ certificate, ca })
    await expect(own(`${origin.replace('localhost', '127.0.0.1')}/who`)).rejects.toThrow()
  })

  it('lets requests under way end when the certificate changes', async () => {
    let svid = authority.x509Svid('/orders')
    const mtlsFetch = createMtlsFetch({ certificate: { svid: () => svid }, ca })
    const first = thumbprintOf(svid)
    const underWay = Promise.all(Array.from({ length: 8 }, () => mtlsFetch(`${origin}/who`)))
    svid = authority.x509Svid('/orders')
    await mtlsFetch(`${origin}/who`)
    for (const answer of await underWay) expect(await answer.json()).toEqual({ thumbprint: first })
  })
})

describe('a client that proves itself by certificate', () => {
  it.each(['tls_client_auth', 'self_signed_tls_client_auth', 'spiffe_x509'] as const)(
    'asks with %s where a certificate is asked for, with its id and nothing else',
    async (authMethod) => {
      const certificate = { svid: () => authority.x509Svid('/orders') }
      const client = createClient({
        issuer: `${origin}/`,
        clientId: 'orders',
        authMethod,
        fetch: createMtlsFetch({ certificate: () => certificateOf(certificate.svid()), ca }),
      })
      await client.token()
      const { path, form } = seen.at(-1)!
      expect([path, Object.fromEntries(form!)]).toEqual([
        '/mtls/token',
        { grant_type: 'client_credentials', client_id: 'orders' },
      ])
    },
  )

  it('gets a new token with a new certificate, and shows token and certificate together', async () => {
    let svid = authority.x509Svid('/orders')
    const mtlsFetch = createMtlsFetch({ certificate: { svid: () => svid }, ca })
    const client = createClient({
      issuer: `${origin}/`,
      clientId: 'orders',
      authMethod: 'spiffe_x509',
      fetch: mtlsFetch,
      origins: [origin],
    })
    for (let round = 0; round < 2; round++) {
      await client.fetch(`${origin}/orders`)
      await client.fetch(`${origin}/orders`)
      const thumbprint = thumbprintOf(svid)
      expect(seen.at(-1)).toMatchObject({ path: '/orders', thumbprint, authorization: `Bearer bound-${thumbprint}` })
      svid = authority.x509Svid('/orders')
    }
    expect(seen.filter(({ path }) => path === '/mtls/token')).toHaveLength(2)
  })

  it('needs a fetch that shows the certificate', () => {
    const options = { issuer: 'https://auth.example.com/', clientId: 'orders', authMethod: 'spiffe_x509' as const }
    expect(() => createClient(options)).toThrow(/createMtlsFetch/)
  })
})

describe('a client that proves itself by JWT-SVID', () => {
  it('sends the one for the issuer, from its source each time, and says what is wrong when there is none', async () => {
    const audiences: string[] = []
    const answers: (() => Promise<{ token: string }>)[] = [
      async () => ({ token: 'eyJ.one' }),
      async () => {
        throw Object.assign(new Error('eyJ.secret'), { code: 'no_identity' })
      },
    ]
    const jwtSource = {
      fetch: (audience: string) => {
        audiences.push(audience)
        return answers.shift()!()
      },
    }
    const mtlsFetch = createMtlsFetch({ certificate: () => certificateOf(authority.x509Svid('/x')), ca })
    const client = createClient({
      issuer: `${origin}/`,
      clientId: 'orders',
      authMethod: 'spiffe_jwt',
      jwtSource,
      tokenEndpoint: `${origin}/mtls/token`,
      fetch: mtlsFetch,
      maximumRetries: 0,
    })
    await client.token()
    expect(audiences).toEqual([`${origin}/`])
    expect(Object.fromEntries(seen.at(-1)!.form!)).toEqual({
      grant_type: 'client_credentials',
      client_id: 'orders',
      client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-spiffe',
      client_assertion: 'eyJ.one',
    })
    const failing = client.token({ forceRefresh: true })
    await expect(failing).rejects.toMatchObject({ code: 'invalid_client' })
    await expect(failing).rejects.not.toThrow(/secret/)
    expect(() =>
      createClient({ issuer: 'https://auth.example.com/', clientId: 'a', authMethod: 'spiffe_jwt' }),
    ).toThrow(/jwtSource/)
  })
})

function certificateOf(svid: X509Svid): { cert: string; key: string } {
  const cert = formatPemCertificates(svid.certificates)
  return { cert, key: svid.privateKey.export({ format: 'pem', type: 'pkcs8' }) as string }
}
