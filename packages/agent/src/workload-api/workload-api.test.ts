import { createPrivateKey, createPublicKey, X509Certificate } from 'node:crypto'
import { parseCertificates, parseJwtBundle, parseX509Svid, verifyJwtSvid, verifyX509Svid } from '@countersign/spiffe'
import { HealthClient, HealthCheckResponse_ServingStatus as Serving } from '@countersign/spiffe/protocol/health'
import type {
  JWTSVIDResponse,
  SpiffeWorkloadAPIClient,
  ValidateJWTSVIDResponse,
} from '@countersign/spiffe/protocol/workload-api'
import { createTestAuthority } from '@countersign/spiffe/testing'
import { credentials, Metadata, status } from '@grpc/grpc-js'
import { describe, expect, it, onTestFinished } from 'vitest'
import { me, testAgent, testServer, until } from '../agent.fixture.ts'
import { type FakeSpireServer, fakeEntry } from '../spire-server.fixture.ts'
import { fetchX509, header, Messages, openWorkloadClient } from '../workload-client.fixture.ts'

/** A running agent with these entries and a client at its socket. */
async function running(entries: FakeSpireServer['entries'], options: Parameters<typeof testAgent>[1] = {}) {
  const server = await testServer()
  server.entries = entries
  const started = testAgent(server, { syncIntervalSeconds: 0.1, ...options })
  await started.agent.start()
  await started.agent.ready
  const client = openWorkloadClient(started.socket)
  onTestFinished(() => client.close())
  return { server, client, ...started }
}

describe('FetchX509SVID', () => {
  it('gives chain, key and bundle that belong together', async () => {
    const { socket, server } = await running([fakeEntry('/web', [me], { hint: 'public' })])
    const { svids, federatedBundles } = await fetchX509(socket)
    const [svid] = svids
    if (!svid) throw new Error('no SVID')
    const parsed = parseX509Svid(svid.x509Svid, svid.x509SvidKey)
    expect(
      verifyX509Svid(
        parsed.certificates,
        new Map([['example.test', server.authority.bundle]]),
        Date.now() / 1000,
      ).toString(),
    ).toBe(svid.spiffeId)
    const key = createPublicKey(createPrivateKey({ key: svid.x509SvidKey, format: 'der', type: 'pkcs8' }))
    expect(key.asymmetricKeyDetails?.namedCurve).toBe('prime256v1')
    expect(parseCertificates(svid.bundle).map(({ der }) => der)).toEqual(
      server.authority.bundle.x509Authorities.map(({ der }) => der),
    )
    expect(svid.hint).toBe('public')
    expect(federatedBundles).toEqual({})
  })

  it('gives every identity of the caller, the oldest first, and of a hint only the oldest', async () => {
    const { socket } = await running([
      fakeEntry('/third', [me], { createdAt: 30, hint: 'same' }),
      fakeEntry('/first', [me], { createdAt: 10 }),
      fakeEntry('/second', [me], { createdAt: 20, hint: 'same' }),
      fakeEntry('/stored', [me], { storeSvid: true }),
      fakeEntry('/more', [me, 'unix:user:nobody-here']),
    ])
    expect((await fetchX509(socket)).svids.map(({ spiffeId }) => spiffeId)).toEqual([
      'spiffe://example.test/first',
      'spiffe://example.test/second',
    ])
  })

  it('gives federated bundles under their own names, never merged', async () => {
    const { server, client } = await running([
      fakeEntry('/web', [me], { federatesWith: ['other.test', 'unknown.test'] }),
    ])
    const messages = new Messages(client.fetchX509Svid({}, header()))
    expect((await messages.next()).federatedBundles).toEqual({})
    const other = createTestAuthority('other.test')
    server.federated.set('other.test', wireBundle(other))
    const { svids, federatedBundles } = await messages.next()
    expect(Object.keys(federatedBundles)).toEqual(['spiffe://other.test'])
    expect(federatedBundles['spiffe://other.test']).toEqual(other.bundle.x509Authorities[0]?.der)
    expect(svids[0]?.bundle).toEqual(server.authority.bundle.x509Authorities[0]?.der)
  })

  it('refuses who has no entry, without a word why', async () => {
    const { socket } = await running([fakeEntry('/web', ['unix:uid:4242'])])
    await expect(fetchX509(socket)).rejects.toMatchObject({
      code: status.PERMISSION_DENIED,
      details: 'no identity issued',
    })
  })

  it('ends an open stream when the last entry goes, and keeps it when one of two goes', async () => {
    const { server, client } = await running([fakeEntry('/a', [me]), fakeEntry('/b', [me])])
    const messages = new Messages(client.fetchX509Svid({}, header()))
    expect((await messages.next()).svids).toHaveLength(2)
    server.entries = server.entries.slice(0, 1)
    expect((await messages.next()).svids.map(({ spiffeId }) => spiffeId)).toEqual(['spiffe://example.test/a'])
    server.entries = []
    await expect(messages.next()).rejects.toMatchObject({ code: status.PERMISSION_DENIED })
  })

  it('waits for an identity that is on its way, and serves the others when one never comes', async () => {
    const server = await testServer()
    server.entries = [fakeEntry('/good', [me]), fakeEntry('/never', [me])]
    server.unsigned.add('never')
    const { agent, socket } = testAgent(server, {})
    await agent.start()
    const started = Date.now()
    expect((await fetchX509(socket)).svids.map(({ spiffeId }) => spiffeId)).toEqual(['spiffe://example.test/good'])
    expect(Date.now() - started).toBeGreaterThan(2_000)
  })

  it('answers with UNAVAILABLE while the agent has not heard from the server', async () => {
    const server = await testServer()
    server.failures.set('syncAuthorizedEntries', { code: status.UNAVAILABLE, details: 'not yet' })
    server.entries = [fakeEntry('/web', [me])]
    const { agent, socket } = testAgent(server)
    await agent.start()
    await expect(fetchX509(socket)).rejects.toMatchObject({ code: status.UNAVAILABLE })
  }, 30_000)

  it('gives the first SVID to a caller who asked before the first synchronization', async () => {
    const server = await testServer()
    server.failures.set('syncAuthorizedEntries', { code: status.UNAVAILABLE, details: 'not yet' })
    server.entries = [fakeEntry('/web', [me])]
    const { agent, socket } = testAgent(server)
    await agent.start()
    const asked = fetchX509(socket)
    await until(() => server.count('syncAuthorizedEntries') > 0)
    server.failures.clear()
    expect((await asked).svids).toHaveLength(1)
  })
})

describe('every method', () => {
  it.each([
    ['nothing', undefined],
    ['another value', ['false']],
    ['two values', ['true', 'true']],
  ])('refuses a call with %s for the security header', async (_name, values) => {
    const { client } = await running([fakeEntry('/web', [me])])
    const metadata = () => {
      const sent = new Metadata()
      for (const value of values ?? []) sent.add('workload.spiffe.io', value)
      return sent
    }
    const refused = { code: status.INVALID_ARGUMENT, details: 'security header missing from request' }
    await expect(new Messages(client.fetchX509Svid({}, metadata())).next()).rejects.toMatchObject(refused)
    await expect(new Messages(client.fetchX509Bundles({}, metadata())).next()).rejects.toMatchObject(refused)
    await expect(new Messages(client.fetchJwtBundles({}, metadata())).next()).rejects.toMatchObject(refused)
    await expect(jwt(client, { audience: ['a'] }, metadata())).rejects.toMatchObject(refused)
    await expect(validate(client, { audience: 'a', svid: 'b' }, metadata())).rejects.toMatchObject(refused)
  })

  it('that gives something refuses who has no entry', async () => {
    const { client } = await running([])
    const refused = { code: status.PERMISSION_DENIED, details: 'no identity issued' }
    await expect(new Messages(client.fetchX509Bundles({}, header())).next()).rejects.toMatchObject(refused)
    await expect(new Messages(client.fetchJwtBundles({}, header())).next()).rejects.toMatchObject(refused)
    await expect(jwt(client, { audience: ['a'] })).rejects.toMatchObject(refused)
  })
})

describe('bundles', () => {
  it('come as DER and as JWKS of JWT keys alone, and again when they change', async () => {
    const { server, client } = await running([fakeEntry('/web', [me])])
    const x509 = new Messages(client.fetchX509Bundles({}, header()))
    const keys = new Messages(client.fetchJwtBundles({}, header()))
    expect((await x509.next()).bundles).toEqual({
      'spiffe://example.test': server.authority.bundle.x509Authorities[0]?.der,
    })
    const document = (await keys.next()).bundles['spiffe://example.test'] as Buffer
    expect(JSON.parse(document.toString()).keys.every((key: object) => !('x5c' in key) && !('use' in key))).toBe(true)
    expect([...parseJwtBundle('example.test', document).jwtAuthorities.keys()]).toEqual([
      ...server.authority.bundle.jwtAuthorities.keys(),
    ])
    server.authority.rotate()
    expect(parseCertificates((await x509.next()).bundles['spiffe://example.test'] as Buffer)).toHaveLength(2)
    expect(JSON.parse((await keys.next()).bundles['spiffe://example.test']?.toString() ?? '').keys).toHaveLength(2)
  })
})

describe('FetchJWTSVID', () => {
  it('gives one SVID for each identity, or for the one that was asked for', async () => {
    const { client, server } = await running([fakeEntry('/a', [me], { hint: 'one' }), fakeEntry('/b', [me])])
    const all = await jwt(client, { audience: ['billing', ''] })
    expect(all.svids.map(({ spiffeId, hint }) => [spiffeId, hint])).toEqual([
      ['spiffe://example.test/a', 'one'],
      ['spiffe://example.test/b', ''],
    ])
    const one = await jwt(client, { audience: ['billing'], spiffeId: 'spiffe://example.test/b' })
    const bundles = new Map([['example.test', server.authority.bundle]])
    const svid = verifyJwtSvid(one.svids[0]?.svid as string, { audience: 'billing', bundles, now: Date.now() / 1000 })
    expect(svid.id.toString()).toBe('spiffe://example.test/b')
  })

  it('gives the same one again until half its life is over, whatever the order of the audiences', async () => {
    const { client, server } = await running([fakeEntry('/a', [me])])
    const first = await jwt(client, { audience: ['x', 'y'] })
    expect(await jwt(client, { audience: ['y', 'x'] })).toEqual(first)
    expect(server.count('newJwtsvid')).toBe(1)
    expect(await jwt(client, { audience: ['x'] })).not.toEqual(first)
  })

  it('does not let a workload that asks for ever other audiences use up what the server allows the node', async () => {
    const { client, server } = await running([fakeEntry('/a', [me])])
    const first = await jwt(client, { audience: ['first'] })
    const asked = Array.from({ length: 300 }, (_, index) => jwt(client, { audience: [`a${index}`] }))
    const refused = (await Promise.allSettled(asked)).filter(({ status }) => status === 'rejected')
    expect(refused).toHaveLength(251)
    expect(refused[0]).toMatchObject({ reason: { code: status.RESOURCE_EXHAUSTED } })
    expect(server.count('newJwtsvid')).toBe(50)
    expect(await jwt(client, { audience: ['first'] })).toEqual(first)
  })

  it('asks the server once when many ask at the same moment', async () => {
    const { client, server } = await running([fakeEntry('/a', [me])])
    await Promise.all(Array.from({ length: 20 }, () => jwt(client, { audience: ['x'] })))
    expect(server.count('newJwtsvid')).toBe(1)
  })

  it.each([
    ['no audience', { audience: [] }, status.INVALID_ARGUMENT],
    ['an empty audience', { audience: [''] }, status.INVALID_ARGUMENT],
    [
      'a hundred audiences',
      { audience: Array.from({ length: 100 }, (_, index) => `a${index}`) },
      status.INVALID_ARGUMENT,
    ],
    [
      'something that is no SPIFFE ID',
      { audience: ['x'], spiffeId: 'https://example.test/a' },
      status.INVALID_ARGUMENT,
    ],
    ["somebody else's ID", { audience: ['x'], spiffeId: 'spiffe://example.test/other' }, status.PERMISSION_DENIED],
  ])('refuses %s', async (_name, request, code) => {
    const { client } = await running([fakeEntry('/a', [me]), fakeEntry('/other', ['unix:uid:4242'])])
    await expect(jwt(client, request)).rejects.toMatchObject({ code })
  })

  it('is UNAVAILABLE when the server is away and none is left', async () => {
    const { client, server } = await running([fakeEntry('/a', [me])])
    await server.stop()
    await expect(jwt(client, { audience: ['x'] })).rejects.toMatchObject({ code: status.UNAVAILABLE })
  })
})

describe('ValidateJWTSVID', () => {
  it('needs no identity, and gives ID and claims with the audience as a list', async () => {
    const { client, server } = await running([])
    const token = server.authority.jwtSvid('/a', ['billing'], { jti: 'one' })
    const { spiffeId, claims } = await validate(client, { audience: 'billing', svid: token })
    expect(spiffeId).toBe('spiffe://example.test/a')
    expect(claims).toMatchObject({ sub: spiffeId, aud: ['billing'], jti: 'one' })
  })

  it("gives of another trust domain's token only what was agreed on", async () => {
    const { client, server } = await running([fakeEntry('/a', [me], { federatesWith: ['other.test'] })])
    const other = createTestAuthority('other.test')
    server.federated.set('other.test', wireBundle(other))
    const token = other.jwtSvid('/b', ['billing'], { jti: 'one' })
    const before = server.count('getFederatedBundle')
    await until(() => server.count('getFederatedBundle') > before + 1)
    const { claims } = await validate(client, { audience: 'billing', svid: token })
    expect(Object.keys(claims as object).sort()).toEqual(['aud', 'exp', 'sub'])
  })

  it('refuses empty fields, another audience, a stranger, and a token of the wrong authority', async () => {
    const { client, server } = await running([])
    const token = server.authority.jwtSvid('/a', ['billing'])
    const forged = createTestAuthority('example.test').jwtSvid('/a', ['billing'])
    const cases = [
      { audience: '', svid: token },
      { audience: 'billing', svid: '' },
      { audience: 'bill', svid: token },
      { audience: 'billing', svid: forged },
      { audience: 'billing', svid: createTestAuthority('other.test').jwtSvid('/a', ['billing']) },
      { audience: 'billing', svid: 'a.b.c' },
      { audience: 'billing', svid: 'x'.repeat(70_000) },
    ]
    for (const request of cases)
      await expect(validate(client, request)).rejects.toMatchObject({ code: status.INVALID_ARGUMENT })
  })
})

describe('the health service', () => {
  it('needs no header, and says whether workloads are served', async () => {
    const server = await testServer()
    server.failures.set('syncAuthorizedEntries', { code: status.UNAVAILABLE, details: 'not yet' })
    const { agent, socket } = testAgent(server, { syncIntervalSeconds: 0.1 })
    await agent.start()
    const client = new HealthClient(`unix://${socket}`, credentials.createInsecure())
    onTestFinished(() => client.close())
    const check = () =>
      new Promise<number>((resolve, reject) =>
        client.check({ service: '' }, (error, answer) => (error ? reject(error) : resolve(answer.status))),
      )
    expect(await check()).toBe(Serving.NOT_SERVING)
    server.failures.clear()
    await agent.ready
    expect(await check()).toBe(Serving.SERVING)
  })
})

describe('what any local user may do to the agent', () => {
  it('opens no more than so many connections, and the others go on', async () => {
    const { connect } = await import('node:net')
    const { socket, logged } = await running([fakeEntry('/web', [me])])
    const sockets = Array.from({ length: 120 }, () => connect(socket))
    let closed = 0
    for (const each of sockets) each.on('error', () => {}).on('close', () => closed++)
    await until(() => closed >= 20)
    expect(logged.some((line) => line.includes('too many connections'))).toBe(true)
    for (const each of sockets) each.destroy()
    await until(() => closed === 120)
    const { svids } = await fetchX509(socket)
    expect(new X509Certificate(svids[0]?.x509Svid as Buffer).subjectAltName).toContain('/web')
  })

  it('gets no further than its own bytes with what is no gRPC', async () => {
    const { connect } = await import('node:net')
    const { socket } = await running([fakeEntry('/web', [me])])
    for (const bytes of [
      'GET / HTTP/1.1\r\n\r\n',
      '\0'.repeat(10_000),
      'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\xff',
    ]) {
      const raw = connect(socket)
      raw.on('error', () => {})
      raw.end(Buffer.from(bytes, 'latin1'))
      await new Promise((resolve) => raw.once('close', resolve).resume())
    }
    expect((await fetchX509(socket)).svids).toHaveLength(1)
  })
})

function jwt(
  client: SpiffeWorkloadAPIClient,
  request: { audience: string[]; spiffeId?: string },
  metadata = header(),
): Promise<JWTSVIDResponse> {
  return new Promise((resolve, reject) => {
    client.fetchJwtsvid({ spiffeId: '', ...request }, metadata, (error, response) =>
      error ? reject(error) : resolve(response),
    )
  })
}

function validate(
  client: SpiffeWorkloadAPIClient,
  request: { audience: string; svid: string },
  metadata = header(),
): Promise<ValidateJWTSVIDResponse> {
  return new Promise((resolve, reject) => {
    client.validateJwtsvid(request, metadata, (error, response) => (error ? reject(error) : resolve(response)))
  })
}

function wireBundle({ bundle, trustDomain }: ReturnType<typeof createTestAuthority>) {
  return {
    trustDomain,
    x509Authorities: bundle.x509Authorities.map(({ der }) => ({ asn1: der, tainted: false })),
    jwtAuthorities: [...bundle.jwtAuthorities.values()].map(({ keyId, publicKey }) => ({
      keyId,
      publicKey: publicKey.export({ type: 'spki', format: 'der' }),
      expiresAt: 0,
      tainted: false,
    })),
    refreshHint: 0,
    sequenceNumber: 1,
  }
}
