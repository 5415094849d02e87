import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createGuard } from './guard.ts'
import { GuardError } from './guard-error.ts'
import { audience, startIssuer, type TestIssuer } from './issuer.fixture.ts'

let issuer: TestIssuer
beforeAll(async () => {
  issuer = await startIssuer()
})
afterAll(() => issuer.stop())

describe('a guard', () => {
  it('yields the caller behind a token, from nothing but issuer and audience', async () => {
    const guard = createGuard({ issuer: issuer.issuer, audience })
    const caller = await guard.verify({ headers: { authorization: `Bearer ${issuer.token()}` } })
    expect(caller).toMatchObject({
      method: 'access_token',
      clientId: 'svc-orders',
      subject: 'svc-orders',
      scopes: ['read:orders', 'write:orders'],
      audience,
      issuer: issuer.issuer,
      credentialId: issuer.kid,
    })
    expect(caller.tokenId).toBe(caller.claims.jti)
    expect(caller.expiresAt).toBe(caller.claims.exp)
  })

  it('refuses who has no credential with a challenge that names no error', async () => {
    const guard = createGuard({ issuer: issuer.issuer, audience })
    expect(() => guard.verify({ headers: {} })).toThrow(GuardError)
  })
})
