import { describe, expect, it } from 'vitest'
import { parseJwt } from '../jwt/parse-jwt.ts'
import { verifySignature } from '../jwt/verify-signature.ts'
import { generateSigningKey } from '../keys/generate-key.ts'
import { importPublicJwk } from '../keys/public-jwk.ts'
import { compact, refusal } from '../refusal.fixture.ts'
import { assertionClientId, checkClientAssertion, signClientAssertion } from './client-assertion.ts'

const now = 1_790_000_000
const issuer = 'https://auth.example.com/'
const rules = { clientId: 'svc-a', audiences: [issuer], leewaySeconds: 5, maximumLifetimeSeconds: 300 }
const claims = { iss: 'svc-a', sub: 'svc-a', aud: issuer, iat: now, exp: now + 60, jti: 'id-1' }

function verdict(changed: object, header: object = {}, at = now) {
  const parsed = parseJwt(compact({ alg: 'ES256', ...header }, { ...claims, ...changed }))
  return refusal(() => checkClientAssertion(parsed, rules, at))
}

describe('a client assertion', () => {
  it.each(['ES256', 'RS256', 'EdDSA'] as const)('signed with %s passes its own check', async (algorithm) => {
    const { kid, privateKey, publicJwk } = await generateSigningKey(algorithm)
    const token = signClientAssertion({ clientId: 'svc-a', audience: issuer, key: privateKey, kid, algorithm, now })
    const parsed = parseJwt(token)
    verifySignature(parsed, importPublicJwk(publicJwk), [algorithm])
    expect(assertionClientId(parsed)).toBe('svc-a')
    expect(parsed.header).toEqual({ alg: algorithm, kid, typ: 'client-authentication+jwt' })
    const { jti, expiresAt } = checkClientAssertion(parsed, rules, now)
    expect(jti).toMatch(/^[0-9a-f-]{36}$/)
    expect(expiresAt).toBe(now + 60)
  })

  it('is new each time, unless its jti is given', async () => {
    const { privateKey: key } = await generateSigningKey('EdDSA')
    const options = { clientId: 'svc-a', audience: issuer, key, algorithm: 'EdDSA', now } as const
    expect(signClientAssertion(options)).not.toBe(signClientAssertion(options))
    const given = parseJwt(signClientAssertion({ ...options, jti: 'mine', lifetimeSeconds: 10 }))
    expect(checkClientAssertion(given, rules, now)).toEqual({ jti: 'mine', expiresAt: now + 10 })
  })

  it('has no type, JWT, or its own', () => {
    for (const typ of [undefined, 'JWT', 'jwt', 'client-authentication+jwt', 'application/client-authentication+jwt']) {
      expect(verdict({}, { typ })).toBe('accepted')
    }
    for (const typ of ['at+jwt', 'dpop+jwt', 'm2m+jwt', 'wpt+jwt', 'application/at+jwt', 'JOSE', '']) {
      expect(verdict({}, { typ })).toBe('wrong_type/typ')
    }
  })

  it('names the client as issuer and as subject', () => {
    for (const name of ['iss', 'sub']) {
      for (const value of ['svc-b', 'SVC-A', 'svc-a ', '', null, undefined, ['svc-a']]) {
        expect(verdict({ [name]: value })).toBe(`invalid_claim/${name}`)
      }
    }
  })

  it('is for the issuer alone: no token endpoint, no prefix, no second audience', () => {
    for (const aud of [
      ...['https://auth.example.com', `${issuer}oauth/token`, 'https://AUTH.example.com/', '', undefined, null, 1],
      ...[[], [issuer, issuer], [issuer, 'https://evil.example/'], ['https://evil.example/'], [[issuer]]],
    ]) {
      expect(verdict({ aud })).toBe('wrong_audience/aud')
    }
    expect(verdict({ aud: [issuer] })).toBe('accepted')
  })

  it('expires, and not too far ahead', () => {
    expect(verdict({}, {}, now + 64)).toBe('accepted')
    expect(verdict({}, {}, now + 65)).toBe('expired_token/exp')
    expect(verdict({ exp: now + 305 })).toBe('accepted')
    expect(verdict({ exp: now + 306 })).toBe('invalid_claim/exp')
    for (const exp of [undefined, null, `${now + 60}`, -1, true]) expect(verdict({ exp })).toBe('invalid_claim/exp')
  })

  it('is not of the future', () => {
    expect(verdict({ iat: now + 6 })).toBe('token_not_yet_valid/iat')
    expect(verdict({ nbf: now + 6 })).toBe('token_not_yet_valid/nbf')
    expect(verdict({ iat: 'soon' })).toBe('invalid_claim/iat')
    expect(verdict({ iat: undefined })).toBe('accepted')
  })

  it('has a jti of 1 to 256 characters', () => {
    for (const jti of [undefined, '', null, 1, [], 'x'.repeat(257)]) expect(verdict({ jti })).toBe('invalid_claim/jti')
    expect(verdict({ jti: 'x'.repeat(256) })).toBe('accepted')
  })

  it('is remembered for the whole of its last second', () => {
    const parsed = parseJwt(compact({ alg: 'ES256' }, { ...claims, exp: now + 1.5 }))
    expect(checkClientAssertion(parsed, rules, now).expiresAt).toBe(now + 2)
  })

  it('belongs to nobody where issuer and subject differ or are no names', () => {
    for (const changed of [
      { iss: 'svc-b' },
      { sub: '', iss: '' },
      { sub: 1, iss: 1 },
      { sub: undefined, iss: undefined },
    ]) {
      expect(assertionClientId(parseJwt(compact({ alg: 'ES256' }, { ...claims, ...changed })))).toBeUndefined()
    }
  })
})
