import { createGuard, createRevocationFeed, type Guard } from '@countersign/guard'
import { parseJwt } from '@countersign/tokens'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { basic, startTestServer, type TestClient, type TestServer, testAudience } from '../server.fixture.ts'
import { revokeSigningKey } from '../signing-keys/lifecycle.ts'
import { eventually } from '../storage/services.fixture.ts'
import { revokeClientTokens } from './revoke.ts'

describe.each(['stream', 'poll'] as const)('a guard that follows the feed by %s', (follow) => {
  let server: TestServer
  let client: TestClient
  let guard: Guard

  beforeAll(async () => {
    server = await startTestServer()
    client = await server.addClient('svc-a')
    const api = await server.addClient('svc-orders', { scopes: null })
    await server.authority.store.database.updateTable('apis').set({ introspectors: '["svc-orders"]' }).execute()
    guard = createGuard({
      issuer: server.issuer,
      audience: testAudience,
      revocations: createRevocationFeed({
        url: `${server.issuer}oauth/revocations`,
        authorization: () => basic(api),
        issuer: server.issuer,
        follow,
        pollSeconds: 1,
      }),
    })
  })
  afterAll(async () => {
    await guard?.close()
    await server?.close()
  })

  const isAccepted = async (token: string) => {
    try {
      await guard.verifyToken(token)
      return true
    } catch (error) {
      expect((error as { code: string }).code).toBe('invalid_token')
      return false
    }
  }

  const refused = (token: string) => eventually(async () => !(await isAccepted(token)))

  it('refuses a token, a client and a key soon after their revocation, and nothing else', async () => {
    const [one, another] = [await server.token(client), await server.token(client)]
    const other = await server.token(await server.addClient('svc-b'))
    for (const token of [one, another, other]) expect(await isAccepted(token)).toBe(true)

    await server.post('/oauth/revoke', { token: one }, client)
    await refused(one)
    expect(await isAccepted(another)).toBe(true)

    await revokeClientTokens(client.id, server.authority, {})
    await refused(another)
    expect(await isAccepted(other)).toBe(true)

    await revokeSigningKey(parseJwt(other).header.kid as string, server.authority.keys)
    await refused(other)
  })
})
