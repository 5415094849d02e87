import { createServer, type Server } from 'node:http'
import { createSigner, type GeneratedKey, generateSigningKey, signClientAssertion } from '@countersign/tokens'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startTestServer, type TestClient, type TestServer } from '../server.fixture.ts'
import { announce } from '../storage/change-feed.ts'

const assertionType = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer'

let server: TestServer
let client: TestClient
let key: GeneratedKey
let jwksServer: Server
let jwksUrl: string
let jwks: { status: number; body: string; requests: number; type?: string }

beforeAll(async () => {
  jwksServer = createServer((_request, response) => {
    jwks.requests += 1
    response.writeHead(jwks.status, { 'content-type': jwks.type ?? 'application/json' }).end(jwks.body)
  })
  await new Promise<void>((resolve) => jwksServer.listen(0, '127.0.0.1', resolve))
  jwksUrl = `http://127.0.0.1:${(jwksServer.address() as { port: number }).port}/jwks.json`
  server = await startTestServer({ app: { remoteKeyFetch: { allowHttp: true, allowPrivateAddresses: true } } })
  client = await server.addClient('svc-a')
  key = await generateSigningKey('ES256')
  await addKey(client.id, key)
})
afterAll(async () => {
  await server.close()
  jwksServer.close()
})

async function addKey(clientId: string, { kid, publicJwk }: GeneratedKey) {
  await change(clientId, async (transaction) => {
    await transaction
      .insertInto('client_keys')
      .values({
        id: `key_${kid}`,
        client_id: clientId,
        kid,
        jwk: JSON.stringify(publicJwk),
        label: null,
        created_at: 0,
        last_used_at: null,
      })
      .execute()
  })
}

async function change(id: string, work: Parameters<typeof server.authority.audit.recordChange>[1]) {
  await server.authority.audit.recordChange({ type: 'client.updated', outcome: 'success' }, async (transaction) => {
    await work(transaction)
    await announce(transaction, server.authority.store, { kind: 'client', id, at: 0 })
  })
}

const update = (id: string, values: Record<string, unknown>) =>
  change(id, (transaction) => transaction.updateTable('clients').set(values).where('id', '=', id).execute())

const now = () => Math.floor(Date.now() / 1000)

function claims(more: Record<string, unknown> = {}) {
  return {
    iss: client.id,
    sub: client.id,
    aud: server.issuer,
    iat: now(),
    exp: now() + 60,
    jti: crypto.randomUUID(),
    ...more,
  }
}

const sign = (content: object, signing = key, type?: string) =>
  createSigner({ algorithm: signing.algorithm, kid: signing.kid, key: signing.privateKey, type }).sign(content)

const ask = (assertion: string, more: Record<string, string> = {}, path = '/oauth/token') =>
  server.post(path, {
    grant_type: 'client_credentials',
    client_assertion_type: assertionType,
    client_assertion: assertion,
    ...more,
  })

describe('an assertion', () => {
  it('proves its client, in every form that RFC 7523 allows', async () => {
    for (const type of [undefined, 'JWT', 'client-authentication+jwt', 'application/client-authentication+jwt']) {
      expect((await ask(sign(claims(), key, type))).status, type).toBe(200)
    }
    expect((await ask(sign(claims({ aud: [server.issuer] })))).status).toBe(200)
    expect((await ask(sign(claims()), { client_id: client.id })).status).toBe(200)
    const whole = { clientId: client.id, audience: server.issuer, key: key.privateKey, kid: key.kid, now: now() }
    expect((await ask(signClientAssertion({ ...whole, algorithm: 'ES256' }))).status).toBe(200)
  })

  it('passes exactly once, even when 100 arrive at once', async () => {
    const assertion = sign(claims())
    const answers = await Promise.all(Array.from({ length: 100 }, () => ask(assertion)))
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(1)
    expect(answers.filter(({ status, json }) => status === 401 && json.error === 'invalid_client')).toHaveLength(99)
  })

  it('cannot be used at a second endpoint, nor on a second replica', async () => {
    const assertion = sign(claims())
    expect((await ask(assertion, { token: 'x' }, '/oauth/introspect')).status).toBe(200)
    expect((await ask(assertion)).status).toBe(401)
    const replica = await startTestServer({
      databaseUrl: server.databaseUrl,
      masterKey: server.masterKey,
      issuer: server.issuer,
    })
    try {
      const form = {
        grant_type: 'client_credentials',
        client_assertion_type: assertionType,
        client_assertion: assertion,
      }
      expect((await replica.post('/oauth/token', form)).status).toBe(401)
    } finally {
      await replica.close()
    }
  })

  it('is remembered even after a flood of others: nothing is evicted', async () => {
    const assertion = sign(claims())
    expect((await ask(assertion)).status).toBe(200)
    await Promise.all(Array.from({ length: 300 }, () => ask(sign(claims()))))
    expect((await ask(assertion)).status).toBe(401)
  })

  it('is not used up by a request that carries a forged copy of its jti', async () => {
    const stranger = await generateSigningKey('ES256')
    const jti = crypto.randomUUID()
    const forged = createSigner({ algorithm: 'ES256', kid: key.kid, key: stranger.privateKey }).sign(claims({ jti }))
    expect((await ask(forged)).status).toBe(401)
    expect((await ask(sign(claims({ jti })))).status).toBe(200)
  })

  it('counts the same jti of two clients apart', async () => {
    const other = await server.addClient('svc-b')
    const otherKey = await generateSigningKey('EdDSA')
    await addKey(other.id, otherKey)
    const jti = crypto.randomUUID()
    expect((await ask(sign(claims({ jti })))).status).toBe(200)
    expect((await ask(sign(claims({ jti, iss: other.id, sub: other.id }), otherKey))).status).toBe(200)
  })

  it.each([
    ['for another audience', { aud: 'https://evil.example.com/' }],
    ['for the token endpoint', { aud: 'ENDPOINT' }],
    ['for two audiences', { aud: ['ISSUER', 'https://evil.example.com/'] }],
    ['for an issuer that differs by a slash', { aud: 'NO_SLASH' }],
    ['for nobody', { aud: [] }],
    ['without an audience', { aud: undefined }],
    ['with an audience that is no text', { aud: { 0: 'ISSUER' } }],
    ['of another subject', { sub: 'svc-other' }],
    ['of another issuer', { iss: 'svc-other' }],
    ['whose issuer is a list', { iss: ['svc-a'] }],
    ['without a jti', { jti: undefined }],
    ['with an empty jti', { jti: '' }],
    ['with a jti beyond all bounds', { jti: 'x'.repeat(300) }],
    ['without an expiry', { exp: undefined }],
    ['that has expired', { exp: 1 }],
    ['that expires far in the future', { exp: 4_000_000_000 }],
    ['that lives longer than an hour', { exp: now() + 3700 }],
    ['that lives longer than ten minutes and does not say since when', { iat: undefined, exp: now() + 700 }],
    ['whose expiry is a text', { exp: '4000000000' }],
    ['whose expiry is negative', { exp: -1 }],
    ['that comes from the future', { iat: 4_000_000_000 }],
  ])('is refused %s', async (_what, more: Record<string, unknown>) => {
    const swap = (text: unknown) =>
      text === 'ISSUER'
        ? server.issuer
        : text === 'ENDPOINT'
          ? `${server.issuer}oauth/token`
          : text === 'NO_SLASH'
            ? server.issuer.slice(0, -1)
            : text
    const content = {
      ...more,
      ...('aud' in more ? { aud: Array.isArray(more.aud) ? more.aud.map(swap) : swap(more.aud) } : {}),
    }
    const answer = await ask(sign(claims(content)))
    expect([answer.status, answer.json.error]).toEqual([401, 'invalid_client'])
  })

  it('may live an hour, or ten minutes where it does not say since when', async () => {
    expect((await ask(sign(claims({ exp: now() + 3600 })))).status).toBe(200)
    expect((await ask(sign(claims({ iat: undefined, exp: now() + 600 })))).status).toBe(200)
  })

  it('may be for the token endpoint where the client opted in, and for no other', async () => {
    const old = await server.addClient('svc-old')
    const oldKey = await generateSigningKey('RS256')
    await addKey(old.id, oldKey)
    await update(old.id, { assertion_audience: 'token_endpoint' })
    const with_ = (aud: string) => sign(claims({ iss: old.id, sub: old.id, aud }), oldKey)
    expect((await ask(with_(`${server.issuer}oauth/token`))).status).toBe(200)
    expect((await ask(with_(server.issuer))).status).toBe(200)
    expect((await ask(with_('https://evil.example.com/oauth/token'))).status).toBe(401)
  })

  it('is refused with another type, an unknown extension, no algorithm, a symmetric one, or a key of its own', async () => {
    const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
    const stranger = await generateSigningKey('ES256')
    const [header, payload, signature] = sign(claims()).split('.') as [string, string, string]
    const swapped = (more: object) => `${encode({ alg: 'ES256', kid: key.kid, ...more })}.${payload}.${signature}`
    const bad = [
      sign(claims(), key, 'at+jwt'),
      await server.token(client),
      swapped({ alg: 'none' }),
      `${encode({ alg: 'none' })}.${payload}.`,
      swapped({ alg: 'HS256' }),
      swapped({ crit: ['x'], x: 1 }),
      swapped({ b64: false }),
      swapped({ jwk: stranger.publicJwk }),
      swapped({ jku: jwksUrl }),
      `${header}.${payload}.${'A'.repeat(86)}`,
      `${header}.${payload}`,
      createSigner({ algorithm: 'ES256', kid: stranger.kid, key: stranger.privateKey }).sign(claims()),
      'x'.repeat(9000),
    ]
    for (const assertion of bad) expect((await ask(assertion)).status, assertion.slice(0, 60)).toBe(401)
  })

  it('is invalid_request with a wrong or no type, or beside another credential', async () => {
    const malformed: Record<string, string>[] = [
      { client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:saml2-bearer' },
      { client_assertion_type: '' },
      { client_secret: client.secret, client_id: client.id },
    ]
    for (const more of malformed) {
      const answer = await ask(sign(claims()), more)
      expect([answer.status, answer.json.error]).toEqual([400, 'invalid_request'])
    }
    expect((await ask(sign(claims()), { client_id: 'svc-b' })).status).toBe(400)
  })

  it('gets the same answer from an unknown and a disabled client', async () => {
    const off = await server.addClient('svc-off')
    const offKey = await generateSigningKey('ES256')
    await addKey(off.id, offKey)
    await update(off.id, { disabled: 1 })
    const [disabled, unknown, wrong] = await Promise.all([
      ask(sign(claims({ iss: off.id, sub: off.id }), offKey)),
      ask(sign(claims({ iss: 'svc-nobody', sub: 'svc-nobody' }), offKey)),
      ask(sign(claims(), offKey)),
    ])
    expect([disabled.status, disabled.text]).toEqual([401, unknown.text])
    expect([wrong.status, wrong.text]).toEqual([401, unknown.text])
  })
})

describe('keys behind a jwks_uri', () => {
  let remote: TestClient
  let remoteKey: GeneratedKey
  const remoteAssertion = (signing = remoteKey) => sign(claims({ iss: remote.id, sub: remote.id }), signing)

  beforeAll(async () => {
    remote = await server.addClient('svc-remote')
    remoteKey = await generateSigningKey('EdDSA')
    jwks = { status: 200, body: JSON.stringify({ keys: [remoteKey.publicJwk] }), requests: 0 }
    await update(remote.id, { jwks_uri: jwksUrl })
  })

  it('prove the client; the set is fetched once for many requests', async () => {
    const answers = await Promise.all(Array.from({ length: 20 }, () => ask(remoteAssertion())))
    expect(answers.map(({ status }) => status)).toEqual(Array(20).fill(200))
    expect(jwks.requests).toBe(1)
  })

  it('are not fetched again and again for key ids that nobody has', async () => {
    const strangers = await Promise.all(Array.from({ length: 10 }, () => generateSigningKey('EdDSA')))
    const before = jwks.requests
    const answers = await Promise.all(strangers.map((stranger) => ask(remoteAssertion(stranger))))
    expect(answers.map(({ status }) => status)).toEqual(Array(10).fill(401))
    expect(jwks.requests - before).toBeLessThanOrEqual(1)
  })

  it('go on proving it from the kept copy while the other server fails', async () => {
    jwks.status = 500
    expect((await ask(remoteAssertion())).status).toBe(200)
    jwks.status = 200
  })

  const broken: [string, Partial<typeof jwks>][] = [
    ['answers HTML', { body: '<html>', type: 'text/html' }],
    ['answers with 1 MB', { body: `{"keys":[],"x":"${'x'.repeat(1_000_000)}"}` }],
    ['redirects', { status: 302 }],
    ['has no such page', { status: 404 }],
    ['holds a set with keys by the ten thousand', { body: JSON.stringify({ keys: Array(10_000).fill({ kty: 'x' }) }) }],
  ]
  it.each(broken)('refuse the client, with the reason audited, when the server %s', async (what, answering) => {
    jwks = { status: 200, body: '', requests: 0, ...answering }
    await expectRefusal(`${jwksUrl}?${encodeURIComponent(what)}`)
  })

  it('refuse the client when the server is down or shows private keys', async () => {
    await expectRefusal('http://127.0.0.1:1/jwks.json')
    jwks = {
      status: 200,
      body: JSON.stringify({ keys: [remoteKey.privateKey.export({ format: 'jwk' })] }),
      requests: 0,
    }
    await expectRefusal(`${jwksUrl}?private`)
  })

  async function expectRefusal(uri: string) {
    await update(remote.id, { jwks_uri: uri })
    const answer = await ask(remoteAssertion())
    expect([answer.status, answer.json.error]).toEqual([401, 'invalid_client'])
    const row = await server.authority.store.database
      .selectFrom('audit_events')
      .select('event')
      .where('type', '=', 'client_auth.failed')
      .orderBy('sequence', 'desc')
      .executeTakeFirstOrThrow()
    expect(JSON.parse(row.event)).toMatchObject({ client_id: remote.id, reason: expect.stringContaining('jwks') })
  }

  it('are never fetched from inside our own network unless the operator says so', async () => {
    const guarded = await startTestServer()
    try {
      const inside = await guarded.addClient('svc-inside')
      let requests = 0
      jwks = { status: 200, body: JSON.stringify({ keys: [remoteKey.publicJwk] }), requests: 0 }
      for (const uri of [
        jwksUrl,
        jwksUrl.replace('http:', 'https:'),
        'https://169.254.169.254/latest',
        'https://[::ffff:127.0.0.1]/x',
        'https://localhost/x',
      ]) {
        await guarded.authority.audit.recordChange(
          { type: 'client.updated', outcome: 'success' },
          async (transaction) => {
            await transaction.updateTable('clients').set({ jwks_uri: uri }).where('id', '=', inside.id).execute()
            await announce(transaction, guarded.authority.store, { kind: 'client', id: inside.id, at: 0 })
          },
        )
        const assertion = sign(claims({ iss: inside.id, sub: inside.id, aud: guarded.issuer }), remoteKey)
        const form = {
          grant_type: 'client_credentials',
          client_assertion_type: assertionType,
          client_assertion: assertion,
        }
        expect((await guarded.post('/oauth/token', form)).status, uri).toBe(401)
        requests += jwks.requests
      }
      expect(requests).toBe(0)
    } finally {
      await guarded.close()
    }
  })
})
