import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseJwt } from '../jwt/parse-jwt.ts'
import { compact, refusal } from '../refusal.fixture.ts'
import { checkAccessTokenClaims } from './access-token.ts'

const now = 1_790_000_000
const issuer = 'https://auth.example.com/'
const api = 'https://api.example.com'
const header = { alg: 'ES256', typ: 'at+jwt' }
const claims = {
  iss: issuer,
  sub: 'svc-a',
  client_id: 'svc-a',
  aud: api,
  scope: 'read:a write:b',
  iat: now,
  exp: now + 60,
  jti: 'id-1',
}
const rules = { issuer, audiences: [api] }

/** What becomes of a token with these claims changed; `undefined` leaves a claim out. */
function verdict(changed: object, options: { header?: object; rules?: object; now?: number } = {}) {
  const token = compact({ ...header, ...options.header }, { ...claims, ...changed })
  return refusal(() => checkAccessTokenClaims(parseJwt(token), { ...rules, ...options.rules }, options.now ?? now))
}

const verdictOfText = (payload: string) =>
  refusal(() => checkAccessTokenClaims(parseJwt(compact(header, payload)), rules, now))

describe('checkAccessTokenClaims', () => {
  it('gives the claims of a token that is in order', () => {
    expect(checkAccessTokenClaims(parseJwt(compact(header, claims)), rules, now)).toEqual(claims)
    expect(verdict({ scope: undefined, cnf: { jkt: 'x' }, extra: 1 })).toBe('accepted')
  })

  it('takes at+jwt in any case, with or without application/', () => {
    for (const typ of ['at+jwt', 'AT+JWT', 'application/at+jwt', 'Application/AT+jwt']) {
      expect(verdict({}, { header: { typ } })).toBe('accepted')
    }
  })

  it.each([
    undefined,
    '',
    'JWT',
    'jwt',
    'at',
    'at+jwt ',
    'xat+jwt',
    'application/application/at+jwt',
    'dpop+jwt',
    'm2m+jwt',
    'client-authentication+jwt',
    'wit+jwt',
    'wpt+jwt',
    'JOSE',
    'secevent+jwt',
    'token-introspection+jwt',
  ])('refuses another kind of token: typ %s', (typ) => {
    expect(verdict({}, { header: { typ } })).toBe('wrong_type/typ')
  })

  it('checks the algorithm again when told which ones', () => {
    expect(verdict({}, { rules: { algorithms: ['ES256'] } })).toBe('accepted')
    expect(verdict({}, { rules: { algorithms: ['RS256'] } })).toBe('unsupported_algorithm/alg')
  })

  it('compares the issuer character by character, and never in an array (CVE-2025-30144)', () => {
    for (const iss of [
      ...[
        'https://auth.example.com',
        'https://auth.example.com//',
        'https://AUTH.example.com/',
        'http://auth.example.com/',
      ],
      ...[
        'https://auth.example.com/ ',
        'https://auth.example.com:443/',
        'https://auth.example.com/x',
        '',
        null,
        undefined,
        1,
      ],
      ...[[issuer], [issuer, 'https://evil.example/'], { 0: issuer }, true],
    ]) {
      expect(verdict({ iss })).toBe('wrong_issuer/iss')
    }
  })

  it('wants one of its audiences exactly, not a prefix, substring or slash variant', () => {
    for (const aud of [
      ...[
        'https://api.example.com/',
        'https://api.example.co',
        'https://api.example.com.evil.example',
        'api.example.com',
      ],
      ...[
        'HTTPS://api.example.com',
        `x ${api}`,
        `${api} x`,
        `${api},x`,
        '',
        '*',
        [],
        [''],
        ['x', 'y'],
        [[api]],
        [api, 1],
      ],
      ...[null, undefined, 1, true, { 0: api }],
    ]) {
      expect(verdict({ aud })).toBe('wrong_audience/aud')
    }
    expect(verdict({ aud: ['x', api] })).toBe('accepted')
    expect(verdict({ aud: 'second' }, { rules: { audiences: [api, 'second'] } })).toBe('accepted')
    expect(verdict({}, { rules: { audiences: [] } })).toBe('wrong_audience/aud')
  })

  it('accepts until the second of expiry, and leeway seconds beyond', () => {
    expect(verdict({}, { now: now + 59 })).toBe('accepted')
    expect(verdict({}, { now: now + 60 })).toBe('expired_token/exp')
    expect(verdict({}, { now: now + 64, rules: { leewaySeconds: 5 } })).toBe('accepted')
    expect(verdict({}, { now: now + 65, rules: { leewaySeconds: 5 } })).toBe('expired_token/exp')
  })

  it('refuses a token of the future, by iat and by nbf', () => {
    expect(verdict({ iat: now + 1 })).toBe('token_not_yet_valid/iat')
    expect(verdict({ iat: now + 5 }, { rules: { leewaySeconds: 5 } })).toBe('accepted')
    expect(verdict({ nbf: now + 1 })).toBe('token_not_yet_valid/nbf')
    expect(verdict({ nbf: now })).toBe('accepted')
    expect(verdict({}, { now: now - 3600 })).toBe('token_not_yet_valid/iat')
  })

  it.each(['exp', 'iat'] as const)('refuses %s as a string, negative, missing or of another type', (name) => {
    for (const value of [`${now + 60}`, -1, -now, null, undefined, true, [], [now + 60], {}, '1e9']) {
      expect(verdict({ [name]: value })).toBe(`invalid_claim/${name}`)
    }
  })

  it('refuses times beyond the range of numbers', () => {
    const text = JSON.stringify(claims)
    for (const exp of ['1e999', '-1e999', '1E400']) {
      expect(verdictOfText(text.replace(/"exp":\d+/, `"exp":${exp}`))).toBe('malformed_token')
    }
    expect(verdict({ nbf: 'now' })).toBe('invalid_claim/nbf')
  })

  it('takes times with fractions, as RFC 7519 allows', () => {
    expect(verdict({ iat: now - 0.5, exp: now + 0.5 })).toBe('accepted')
    expect(verdict({ iat: now - 0.5, exp: now + 0.5 }, { now: now + 0.5 })).toBe('expired_token/exp')
  })

  it('refuses a lifetime beyond the cap', () => {
    expect(verdict({}, { rules: { maximumLifetimeSeconds: 60 } })).toBe('accepted')
    expect(verdict({}, { rules: { maximumLifetimeSeconds: 59 } })).toBe('invalid_claim/exp')
  })

  it.each(['sub', 'client_id', 'jti'])('refuses %s when missing, empty, too long or no string', (name) => {
    for (const value of [undefined, '', null, 1, [], ['svc-a'], {}, 'x'.repeat(1025)]) {
      expect(verdict({ [name]: value })).toBe(`invalid_claim/${name}`)
    }
  })

  it('refuses a scope or confirmation of a wrong form', () => {
    for (const scope of [1, null, ['read:a'], 'a  b', ' a', 'a"', 'a\\', 'é', 'a\tb']) {
      expect(verdict({ scope })).toBe('invalid_claim/scope')
    }
    for (const cnf of [null, 'jkt', [], 1]) expect(verdict({ cnf })).toBe('invalid_claim/cnf')
  })

  it('refuses a leeway that nobody should configure', () => {
    for (const leewaySeconds of [-1, 61, Number.NaN, Number.POSITIVE_INFINITY]) {
      expect(() => verdict({}, { rules: { leewaySeconds } })).toThrow(RangeError)
    }
  })

  it('accepts nothing with a claim of a random wrong value, and never throws anything but a TokenError', () => {
    const names = fc.constantFrom('iss', 'aud', 'exp', 'iat', 'sub', 'client_id', 'jti')
    const notText = fc
      .jsonValue({ maxDepth: 2 })
      .filter((value) => typeof value !== 'string' && typeof value !== 'number')
    fc.assert(
      fc.property(names, notText, (name, value) => {
        fc.pre(!JSON.stringify(value).includes('__proto__'))
        expect(verdict({ [name]: value })).not.toBe('accepted')
      }),
    )
  })

  it('takes linear time on a scope made to be slow, and says the same twice', () => {
    const scope = `${'a '.repeat(3000)}"`
    const before = process.cpuUsage()
    for (let round = 0; round < 20; round += 1) expect(verdict({ scope })).toBe('invalid_claim/scope')
    expect(process.cpuUsage(before).user / 1000).toBeLessThan(1000)
  })
})
