import { createPrivateKey, X509Certificate } from 'node:crypto'
import { parsePemCertificates } from '@countersign/spiffe'
import type { DiscoveryRequest, DiscoveryResponse } from '@countersign/spiffe/protocol/envoy-discovery'
import { SecretDiscoveryServiceClient } from '@countersign/spiffe/protocol/envoy-secret'
import { Secret, SPIFFECertValidatorConfig } from '@countersign/spiffe/protocol/envoy-tls'
import { createTestAuthority } from '@countersign/spiffe/testing'
import { type ClientDuplexStream, credentials, status } from '@grpc/grpc-js'
import { describe, expect, it, onTestFinished } from 'vitest'
import { me, testAgent, testServer, until } from '../agent.fixture.ts'
import { type FakeSpireServer, fakeEntry } from '../spire-server.fixture.ts'
import { Messages } from '../workload-client.fixture.ts'

const secretType = 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret'

/** Envoy's side of one subscription. */
class Subscription {
  readonly #stream: ClientDuplexStream<DiscoveryRequest, DiscoveryResponse>
  readonly messages: Messages<DiscoveryResponse>
  readonly #names: string[]

  constructor(client: SecretDiscoveryServiceClient, names: string[]) {
    this.#stream = client.streamSecrets()
    this.messages = new Messages(this.#stream)
    this.#names = names
    this.ask(names)
  }

  ask(names: string[], more: Partial<DiscoveryRequest> = {}): void {
    this.#stream.write({
      versionInfo: '',
      node: { id: 'envoy', cluster: 'test', userAgentName: 'envoy' },
      resourceNames: names,
      typeUrl: secretType,
      responseNonce: '',
      errorDetail: undefined,
      ...more,
    })
  }

  async next(): Promise<Secret[]> {
    const response = await this.messages.next()
    this.ask(this.#names, { versionInfo: response.versionInfo, responseNonce: response.nonce })
    return secretsOf(response)
  }
}

async function running(entries: FakeSpireServer['entries']) {
  const server = await testServer()
  server.entries = entries
  const started = testAgent(server, { syncIntervalSeconds: 0.1 })
  await started.agent.start()
  await started.agent.ready
  const client = new SecretDiscoveryServiceClient(`unix://${started.socket}`, credentials.createInsecure())
  onTestFinished(() => client.close())
  return { server, client, ...started }
}

describe('SDS', () => {
  it('gives `default` and a SPIFFE ID as certificate and key', async () => {
    const { client, agent } = await running([
      fakeEntry('/b', [me], { createdAt: 2 }),
      fakeEntry('/a', [me], { createdAt: 1 }),
    ])
    const secrets = await new Subscription(client, ['default', 'spiffe://example.test/b']).next()
    expect(secrets.map(({ name }) => name)).toEqual(['default', 'spiffe://example.test/b'])
    const [first, second] = secrets.map(certificateOf)
    expect(first?.certificate.subjectAltName).toBe('URI:spiffe://example.test/a')
    expect(second?.certificate.subjectAltName).toBe('URI:spiffe://example.test/b')
    expect(first?.certificate.checkPrivateKey(first.key)).toBe(true)
    expect(agent.status().workloads).toBe(1)
  })

  it("gives ROOTCA, ALL and trust domains to Envoy's SPIFFE validator, each bundle by itself", async () => {
    const { client, server } = await running([fakeEntry('/a', [me], { federatesWith: ['other.test'] })])
    const other = createTestAuthority('other.test')
    server.federated.set('other.test', {
      trustDomain: 'other.test',
      x509Authorities: other.bundle.x509Authorities.map(({ der }) => ({ asn1: der, tainted: false })),
      jwtAuthorities: [],
      refreshHint: 0,
      sequenceNumber: 1,
    })
    const before = server.count('getFederatedBundle')
    await until(() => server.count('getFederatedBundle') > before + 1)
    const secrets = await new Subscription(client, ['ROOTCA', 'ALL', 'spiffe://other.test']).next()
    expect(secrets.map((secret) => [secret.name, validatedBy(secret)])).toEqual([
      ['ROOTCA', { 'example.test': ders(server.authority) }],
      ['ALL', { 'example.test': ders(server.authority), 'other.test': ders(other) }],
      ['spiffe://other.test', { 'other.test': ders(other) }],
    ])
  })

  it('gives everything of the caller when nothing is named', async () => {
    const { client } = await running([fakeEntry('/a', [me]), fakeEntry('/other', ['unix:uid:4242'])])
    const secrets = await new Subscription(client, []).next()
    expect(secrets.map(({ name }) => name)).toEqual(['spiffe://example.test/a', 'spiffe://example.test'])
  })

  it.each(['spiffe://example.test/other', 'spiffe://unknown.test', 'no-such-secret'])(
    'refuses %s, which is not the caller’s',
    async (name) => {
      const { client } = await running([fakeEntry('/a', [me]), fakeEntry('/other', ['unix:uid:4242'])])
      const refused = { code: status.PERMISSION_DENIED }
      await expect(new Subscription(client, ['default', name]).next()).rejects.toMatchObject(refused)
    },
  )

  it('refuses who has no entry even the bundle', async () => {
    const { client } = await running([])
    await expect(new Subscription(client, ['ROOTCA']).next()).rejects.toMatchObject({ code: status.PERMISSION_DENIED })
  })

  it('refuses resources of another type', async () => {
    const { client } = await running([fakeEntry('/a', [me])])
    const subscription = new Subscription(client, [])
    subscription.ask(['x'], { typeUrl: 'type.googleapis.com/envoy.config.cluster.v3.Cluster' })
    await expect(subscription.next().then(() => subscription.next())).rejects.toMatchObject({
      code: status.INVALID_ARGUMENT,
    })
  })

  it('pushes a rotated certificate before the old one ends, and nothing while nothing changes', async () => {
    const { client, server } = await running([])
    server.lifetimes.x509 = 8
    server.entries = [fakeEntry('/a', [me])]
    const before = server.count('syncAuthorizedEntries')
    await until(() => server.count('syncAuthorizedEntries') > before + 1)
    const certificates = new Subscription(client, ['default'])
    const bundles = new Subscription(client, ['ROOTCA'])
    const first = certificateOf((await certificates.next())[0])
    await bundles.next()
    const second = certificateOf((await certificates.next())[0])
    expect(second.certificate.serialNumber).not.toBe(first.certificate.serialNumber)
    expect(Date.now()).toBeLessThan(first.certificate.validToDate.getTime())
    expect(bundles.messages.waiting).toBe(0)
    server.authority.rotate()
    const [rotated] = await bundles.next()
    expect(validatedBy(rotated)).toEqual({ 'example.test': ders(server.authority) })
  })

  it('answers a change of names, and takes a refusal of Envoy for a note to the operator', async () => {
    const { client, logged } = await running([fakeEntry('/a', [me])])
    const subscription = new Subscription(client, ['ROOTCA'])
    const response = await subscription.messages.next()
    subscription.ask(['ROOTCA'], {
      responseNonce: response.nonce,
      errorDetail: { code: 3, message: 'bad bundle', details: [] },
    })
    await until(() => logged.some((line) => line.includes('bad bundle')))
    expect(subscription.messages.waiting).toBe(0)
    subscription.ask(['default'], { responseNonce: 'stale' })
    subscription.ask(['default'], { versionInfo: response.versionInfo, responseNonce: response.nonce })
    expect(secretsOf(await subscription.messages.next()).map(({ name }) => name)).toEqual(['default'])
    expect(subscription.messages.waiting).toBe(0)
  })

  it('answers a single fetch', async () => {
    const { client } = await running([fakeEntry('/a', [me])])
    const response = await new Promise<DiscoveryResponse>((resolve, reject) =>
      client.fetchSecrets(
        {
          versionInfo: '',
          node: undefined,
          resourceNames: ['default'],
          typeUrl: secretType,
          responseNonce: '',
          errorDetail: undefined,
        },
        (error, answer) => (error ? reject(error) : resolve(answer)),
      ),
    )
    expect(certificateOf(secretsOf(response)[0]).certificate.subjectAltName).toBe('URI:spiffe://example.test/a')
  })
})

function secretsOf(response: DiscoveryResponse): Secret[] {
  return response.resources.map(({ typeUrl, value }) => {
    expect(typeUrl).toBe(secretType)
    return Secret.decode(value)
  })
}

function certificateOf(secret: Secret | undefined) {
  if (secret?.type?.$case !== 'tlsCertificate') throw new Error('no certificate')
  const { certificateChain, privateKey } = secret.type.value
  return {
    certificate: new X509Certificate(certificateChain?.specifier?.value as Buffer),
    key: createPrivateKey(privateKey?.specifier?.value as Buffer),
  }
}

function validatedBy(secret: Secret | undefined): Record<string, string[]> {
  if (secret?.type?.$case !== 'validationContext') throw new Error('no validation context')
  const config = secret.type.value.customValidatorConfig
  expect(config?.name).toBe('envoy.tls.cert_validator.spiffe')
  const { trustDomains } = SPIFFECertValidatorConfig.decode(config?.typedConfig?.value as Buffer)
  return Object.fromEntries(
    trustDomains.map(({ name, trustBundle }) => [
      name,
      parsePemCertificates(String(trustBundle?.specifier?.value)).map(({ der }) => der.toString('base64')),
    ]),
  )
}

function ders({ bundle }: ReturnType<typeof createTestAuthority>): string[] {
  return bundle.x509Authorities.map(({ der }) => der.toString('base64'))
}
