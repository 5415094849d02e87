import { describe, expect, it } from 'vitest'
import { parseJwt } from '../jwt/parse-jwt.ts'
import { generateSigningKey } from '../keys/generate-key.ts'
import { jwkThumbprint } from '../keys/thumbprint.ts'
import { refusal } from '../refusal.fixture.ts'
import { grpcBinding, kafkaRecordBinding } from './call-binding.ts'
import { binding, now, order, request, verdict } from './service-token.fixture.ts'
import { checkServiceToken, serviceTokenIssuedAt } from './service-token.ts'
import { createServiceTokenSigner, type ServiceTokenSignerOptions } from './service-token-signer.ts'

const key = { key: order.pair.privateKey, publicJwk: order.pair.publicJwk }
const create = (options: Partial<ServiceTokenSignerOptions> = {}) =>
  createServiceTokenSigner({ name: 'order', key, now: () => now * 1000 + 250, ...options })
const call = { audience: 'inventory-service', binding }

describe('createServiceTokenSigner', () => {
  it('signs exactly what the contract names', () => {
    const { header, claims } = parseJwt(create({ jti: () => 'one' }).sign({ ...call, tenant: 'acme' }))
    expect(header).toEqual({ typ: 'm2m+jwt', alg: 'EdDSA', kid: jwkThumbprint(order.pair.publicJwk) })
    const sender = 'order-service'
    expect(claims).toEqual({
      iss: sender,
      sub: sender,
      sender,
      aud: 'inventory-service',
      iat: now,
      exp: now + 60,
      jti: 'one',
      tenant: 'acme',
      req: request,
    })
    expect(Object.keys(request)).toEqual(['method', 'target', 'digest'])
  })

  it('leaves the tenant out where there is none, and the transport always', () => {
    for (const bound of [
      binding,
      grpcBinding({ method: '/p.S/M', message: null }),
      kafkaRecordBinding({ topic: 't', key: null, value: null }),
    ]) {
      const { claims } = parseJwt(create().sign({ ...call, binding: bound }))
      expect(claims).not.toHaveProperty('tenant')
      expect(claims.req).not.toHaveProperty('transport')
      expect(claims.req).toEqual(Object.fromEntries(Object.entries(bound).filter(([name]) => name !== 'transport')))
    }
  })

  it('says who signs and with which key', () => {
    for (const name of ['order', 'order-service']) {
      expect(create({ name })).toMatchObject({ sender: 'order-service', kid: order.pair.kid })
    }
  })

  it('makes each token another one, which tells when it was signed', () => {
    const signer = create()
    const tokens = Array.from({ length: 1000 }, () => parseJwt(signer.sign(call)))
    expect(new Set(tokens.map(({ claims }) => claims.jti)).size).toBe(1000)
    const rules = { audiences: ['inventory-service'], binding }
    for (const token of tokens.slice(0, 20)) {
      const claims = checkServiceToken(token, order.key, rules, now)
      expect(claims.jti).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
      expect(serviceTokenIssuedAt(claims)).toBe(now + 0.25)
    }
  })

  it('makes a jti whose random part is of the width of RFC 9562, with nothing of it fixed', () => {
    const signer = create()
    const random = Array.from({ length: 200 }, () => (parseJwt(signer.sign(call)).claims.jti as string).slice(15))
    for (const at of [0, 1, 2, 5, 6, 7, 9, 20]) expect(new Set(random.map((text) => text[at])).size).toBeGreaterThan(8)
    expect(new Set(random.map((text) => text[4])).size).toBe(4)
  })

  it.each([0, -1, 901, 1.5, Number.NaN, Number.POSITIVE_INFINITY, '60' as unknown as number])(
    'refuses a life of %s seconds',
    (lifetimeSeconds) => {
      expect(() => create({ lifetimeSeconds })).toThrow(RangeError)
    },
  )

  it.each([1, 900])('signs for %s seconds', (lifetimeSeconds) => {
    const { claims } = parseJwt(create({ lifetimeSeconds }).sign(call))
    expect((claims.exp as number) - (claims.iat as number)).toBe(lifetimeSeconds)
  })

  it('refuses a name that is none, and a key that is not Ed25519', async () => {
    expect(refusal(() => create({ name: 'Order' }))).toBe('invalid_claim/sender')
    for (const algorithm of ['ES256', 'RS256'] as const) {
      const { privateKey, publicJwk } = await generateSigningKey(algorithm)
      expect(refusal(() => create({ key: { key: privateKey, publicJwk } }))).toBe('invalid_key/alg')
    }
  })

  it('refuses to sign what no receiver would accept', () => {
    const signer = create()
    const refused = (changes: object) => refusal(() => signer.sign({ ...call, ...changes }))
    for (const audience of ['', 'x'.repeat(1025), undefined, ['inventory-service']]) {
      expect(refused({ audience })).toBe('invalid_claim/aud')
    }
    for (const tenant of ['', 'x'.repeat(256), null, 7]) expect(refused({ tenant })).toBe('invalid_claim/tenant')
    expect(refusal(() => create({ jti: () => 'x'.repeat(129) }).sign(call))).toBe('invalid_claim/jti')
  })

  it('signs for every name, tenant and target there may be, whatever characters they have', () => {
    const odd = '/é"\\\n\u2028\u{1f600}?\u0000'
    const token = create().sign({ audience: odd, binding: { ...binding, target: odd } as typeof binding, tenant: odd })
    const bound = { ...binding, target: odd } as typeof binding
    expect(verdict(token, bound, { audiences: [odd] })).toBe('accepted')
  })
})
