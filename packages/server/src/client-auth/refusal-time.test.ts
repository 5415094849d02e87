import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type GeneratedKey, generateSigningKey, signClientAssertion } from '@countersign/tokens'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { basic, startTestServer, type TestServer } from '../server.fixture.ts'
import { defaultTokenLimits } from '../token-endpoint/token-limits.ts'

const grain = 300
/** A busy machine may be late; one try in time shows that an answer needs no longer. */
const tries = 10
const mostFailures = 3 * tries
const grant = { grant_type: 'client_credentials' }
const assertionType = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer'

let server: TestServer
let keyServer: Server
let key: GeneratedKey

beforeAll(async () => {
  key = await generateSigningKey('ES256')
  keyServer = createServer((_request, response) => {
    setTimeout(() => response.setHeader('content-type', 'application/json').end('{"keys":[]}'), 100)
  })
  await new Promise<void>((resolve) => keyServer.listen(0, '127.0.0.1', resolve))
  server = await startTestServer({
    app: {
      assertionRefusalMilliseconds: grain,
      allowLoopbackJwksUri: true,
      tokenLimits: {
        ...defaultTokenLimits,
        failuresPerAddress: { name: 'failures', quota: mostFailures, windowSeconds: 3600 },
      },
    },
  })
  await server.addClient('svc-plain')
  const { port } = keyServer.address() as AddressInfo
  // One for each try: a key set that was fetched a moment ago is not fetched again.
  for (let index = 0; index < tries; index += 1) {
    await server.addClient(`svc-remote-${index}`)
    await server.authority.store.database
      .updateTable('clients')
      .set({ jwks_uri: `http://127.0.0.1:${port}/${index}.json` })
      .where('id', '=', `svc-remote-${index}`)
      .execute()
  }
})
afterAll(async () => {
  await server.close()
  keyServer.close()
})

async function timed(ask: () => Promise<{ status: number }>): Promise<{ status: number; milliseconds: number }> {
  const start = performance.now()
  const { status } = await ask()
  return { status, milliseconds: performance.now() - start }
}

const byAssertion = (clientId: string) => () =>
  server.post('/oauth/token', {
    ...grant,
    client_assertion_type: assertionType,
    client_assertion: signClientAssertion({
      clientId,
      audience: server.issuer,
      key: key.privateKey,
      kid: key.kid,
      algorithm: 'ES256',
      now: Math.floor(Date.now() / 1000),
    }),
  })

describe('the time of a refusal', () => {
  it('does not show that another server was asked for the key of a client', async () => {
    for (const kind of ['svc-remote', 'svc-nobody', 'svc-plain']) {
      let shortest = Number.POSITIVE_INFINITY
      for (let index = 0; index < tries && shortest >= 2 * grain; index += 1) {
        const id = kind === 'svc-remote' ? `${kind}-${index}` : kind
        const { status, milliseconds } = await timed(byAssertion(id))
        expect([id, status]).toEqual([id, 401])
        expect(milliseconds, id).toBeGreaterThanOrEqual(grain - 1)
        shortest = Math.min(shortest, milliseconds)
      }
      expect(shortest, kind).toBeLessThan(2 * grain)
    }
  })

  it('is kept when there were too many failures to be told apart by their answer', async () => {
    const wrong = { secret: 'cs_secret_wrong' }
    const feed = (id: string) => () =>
      fetch(`${server.url}/oauth/revocations`, { headers: { authorization: basic({ id, ...wrong }) } })
    for (let round = 0; round <= mostFailures; round += 1)
      await server.post('/oauth/token', grant, { id: 'x', ...wrong, secretId: '' })
    for (const id of ['svc-plain', 'svc-nobody']) {
      const asks = [
        () => server.post('/oauth/token', grant, { id, ...wrong, secretId: '' }),
        () => server.post('/oauth/introspect', { token: 'x' }, { id, ...wrong, secretId: '' }),
        feed(id),
      ]
      for (const ask of asks) {
        const { status, milliseconds } = await timed(ask)
        expect(status).toBe(429)
        expect(milliseconds).toBeGreaterThanOrEqual(24)
      }
      const { status, milliseconds } = await timed(byAssertion(id))
      expect(status).toBe(429)
      expect(milliseconds).toBeGreaterThanOrEqual(grain - 1)
    }
  })
})
