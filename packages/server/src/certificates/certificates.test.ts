import { execFileSync } from 'node:child_process'
import { generateKeyPairSync, X509Certificate } from 'node:crypto'
import { createServer, request } from 'node:https'
import type { AddressInfo } from 'node:net'
import { createCertificateRequest, parsePemCertificates, toPem } from '@countersign/spiffe'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type AdminApiUnderTest, openAdminApi } from '../admin/admin-api.fixture.ts'
import { describeStores } from '../storage/stores.fixture.ts'

function newRequest(options: Partial<Parameters<typeof createCertificateRequest>[0]> = {}) {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const der = createCertificateRequest({ key: privateKey, ...options })
  return { csr: toPem(der, 'CERTIFICATE REQUEST'), key: privateKey.export({ format: 'pem', type: 'pkcs8' }) as string }
}

describeStores('plain certificates', (kind) => {
  let server: AdminApiUnderTest
  beforeAll(async () => {
    server = await openAdminApi({ kind, spiffe: { trustDomain: 'example.org' } })
  })
  afterAll(() => server.close())

  async function issue(body: Record<string, unknown>) {
    const { csr, key } = newRequest()
    const answer = await server.call('POST', '/certificates', { csr, ...body })
    return { ...answer, key }
  }

  it('make mutual TLS between programs that only know files', async () => {
    const service = await issue({ usage: 'server', dns_names: ['localhost'], ip_addresses: ['127.0.0.1', '::1'] })
    const client = await issue({ usage: 'client', common_name: 'reporting' })
    expect([service.status, client.status]).toEqual([201, 201])
    const ca = service.body.ca_bundle
    const listening = createServer(
      { cert: service.body.certificate, key: service.key, ca, requestCert: true, rejectUnauthorized: true },
      (incoming, answer) =>
        answer.end((incoming.socket as import('node:tls').TLSSocket).getPeerCertificate().subject.CN),
    )
    await new Promise<void>((resolve) => listening.listen(0, '127.0.0.1', resolve))
    const { port } = listening.address() as AddressInfo
    const said = await new Promise<string>((resolve, reject) => {
      const options = { host: 'localhost', port, family: 4, ca, cert: client.body.certificate, key: client.key }
      request(options, (answer) => answer.setEncoding('utf8').on('data', resolve))
        .on('error', reject)
        .end()
    }).finally(() => listening.close())
    expect(said).toBe('reporting')
  })

  it('are not made with the name of a client that holds more than whoever asks', async () => {
    const { token } = await server.administrator('weak-issuer', ['certificates:write'])
    const asked = (body: object) => server.call('POST', '/certificates', { csr: newRequest().csr, ...body }, { token })
    const names = {
      named: { dns_names: ['Robot.example'] },
      numbered: { ip_addresses: ['10.0.0.9'] },
      called: { usage: 'client', common_name: 'robot' },
    }
    for (const body of Object.values(names)) expect((await asked(body)).status).toBe(201)
    const known = [{ san_dns: 'robot.example' }, { san_ip: '10.0.0.9' }, { subject_dn: 'CN=robot' }]
    for (const [index, id] of Object.keys(names).entries()) {
      await server.administrator(id, ['clients:write'])
      const { status } = await server.call('PATCH', `/clients/${id}`, { tls_client_auth: known[index] })
      expect(status).toBe(200)
    }
    for (const body of Object.values(names)) {
      const answer = await asked(body)
      expect(answer).toMatchObject({ status: 403, body: { code: 'insufficient_scope', scope: 'clients:write' } })
      expect(answer.text).not.toContain('BEGIN CERTIFICATE')
      expect((await issue(body)).status).toBe(201)
    }
    expect((await asked({ dns_names: ['robots.example'] })).status).toBe(201)
  })

  it('are for what was asked, for as long, and no longer than the CA', async () => {
    const { body } = await issue({
      usage: 'server',
      dns_names: ['*.example.org'],
      ip_addresses: ['10.0.0.1'],
      ttl: 3600,
    })
    const [leaf] = parsePemCertificates(body.certificate)
    expect(leaf).toMatchObject({ isCa: false, dnsNames: ['*.example.org'], ipAddresses: ['10.0.0.1'], uris: [] })
    expect([...(leaf?.extendedKeyUsage ?? [])]).toEqual(['server'])
    expect((leaf?.notAfter ?? 0) - (leaf?.notBefore ?? 0)).toBe(3610)
    expect(leaf?.serialNumber).toBe(body.serial_number)
    expect(new X509Certificate(body.certificate).verify(new X509Certificate(body.ca_bundle).publicKey)).toBe(true)
  })

  it('never name a SPIFFE ID, whatever the request asks for', async () => {
    const { csr } = newRequest({
      uris: ['spiffe://example.org/admin'],
      dnsNames: ['evil.example.org'],
      commonName: 'evil',
    })
    const { status, body } = await server.call('POST', '/certificates', { csr, dns_names: ['db.example.org'] })
    expect(status).toBe(201)
    const [leaf] = parsePemCertificates(body.certificate)
    expect(leaf).toMatchObject({ uris: [], dnsNames: ['db.example.org'], subject: '' })
  })

  it.each([
    ['a SPIFFE ID as a host', { dns_names: ['spiffe://example.org/a'] }],
    ['a NUL in a host', { dns_names: ['a.example.org\0.evil.org'] }],
    ['a wildcard in the middle', { dns_names: ['a.*.example.org'] }],
    ['an address that is none', { ip_addresses: ['1.2.3'] }],
    ['a scoped address', { ip_addresses: ['fe80::1%eth0'] }],
    ['two lines in a name', { usage: 'client', common_name: 'a\nb' }],
    ['nobody', {}],
    ['a server without a host', { usage: 'server', common_name: 'db' }],
    ['a life of a minute less a second', { dns_names: ['a'], ttl: 59 }],
    ['a life of a year', { dns_names: ['a'], ttl: 31_536_000 }],
    ['a usage that is none', { dns_names: ['a'], usage: 'ca' }],
    ['no request', { dns_names: ['a'], csr: 'hello' }],
    ['a request that is garbled', { dns_names: ['a'], csr: toPem(Buffer.from('hello'), 'CERTIFICATE REQUEST') }],
  ])('are refused for %s', async (_what, body) => {
    expect(await issue(body)).toMatchObject({ status: 422 })
  })

  it('are refused for keys that are weak, and for requests that were signed by another key', async () => {
    const weak = execFileSync('openssl', 'req -new -newkey rsa:1024 -nodes -keyout /dev/null -subj /CN=a'.split(' '), {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    const order = { csr: weak, dns_names: ['a.example.org'] }
    expect(await server.call('POST', '/certificates', order)).toMatchObject({ status: 422 })
    const { csr } = newRequest()
    const der = Buffer.from(csr.replace(/-----[^-]+-----|\s/g, ''), 'base64')
    der[der.length - 1] = (der[der.length - 1] as number) ^ 1
    const altered = await server.call('POST', '/certificates', {
      csr: toPem(der, 'CERTIFICATE REQUEST'),
      dns_names: ['a.example.org'],
    })
    expect(altered).toMatchObject({ status: 422, body: { code: 'invalid' } })
  })

  it('leave who had them issued, for whom and until when in the audit log', async () => {
    const { body } = await issue({ usage: 'both', dns_names: ['audited.example.org'] })
    const { items } = (await server.call('GET', '/audit-events?type=certificate.issued&limit=1')).body
    expect(items[0]).toMatchObject({
      client_id: 'root',
      target: `certificate/${body.serial_number}`,
      detail: { usage: 'both', dns_names: ['audited.example.org'], expires_at: body.expires_at },
    })
  })

  it('are had only by whom it was granted', async () => {
    const { token } = await server.administrator('issuer', ['certificates:write'])
    const other = await server.administrator('other', ['certificate_authorities:write'])
    const { csr } = newRequest()
    const order = { csr, dns_names: ['a.example.org'] }
    expect((await server.call('POST', '/certificates', order, { token })).status).toBe(201)
    expect((await server.call('POST', '/certificates', order, { token: other.token })).status).toBe(403)
  })
})
