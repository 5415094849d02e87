import { createHmac, createPublicKey, sign } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseJwt } from '../jwt/parse-jwt.ts'
import { generateSigningKey } from '../keys/generate-key.ts'
import { importPublicJwk } from '../keys/public-jwk.ts'
import { grpcBinding, httpBinding, kafkaRecordBinding } from './call-binding.ts'
import { binding, call, forged, goodClaims, now, order, reasonOf, stranger, verdict } from './service-token.fixture.ts'
import {
  checkServiceToken,
  isServiceToken,
  type ServiceTokenClaims,
  serviceTokenIssuedAt,
  serviceTokenSender,
} from './service-token.ts'
import { serviceTokenReasons } from './service-token-reason.ts'
import { createServiceTokenSigner } from './service-token-signer.ts'

const changed = (claims: object, header: object = {}) => forged({ ...goodClaims, ...claims }, header)
const good = forged(goodClaims)
const audiences = ['inventory-service']

describe('checkServiceToken', () => {
  it('gives the claims of a token that is good for this call', () => {
    expect(checkServiceToken(parseJwt(good), order.key, { audiences, binding }, now)).toEqual(goodClaims)
  })

  it('takes what others sign: Ed25519 as the name of the algorithm, the type as a media type in any case', () => {
    for (const header of [{ alg: 'Ed25519' }, { typ: 'application/m2m+jwt' }, { typ: 'M2M+JWT' }, { extra: 1 }]) {
      expect(verdict(changed({}, header))).toBe('accepted')
    }
    expect(verdict(changed({ tenant: 'acme', unknown: { a: [1] } }))).toBe('accepted')
  })

  it.each([
    ['JWT'],
    ['at+jwt'],
    ['client-authentication+jwt'],
    ['wpt+jwt'],
    ['m2m+jwt '],
    ['m2m\u002bjwt\u0000'],
    [''],
    [undefined],
  ])('refuses a token of the type %j as one', (typ) => {
    expect(isServiceToken(parseJwt(changed({}, { typ })))).toBe(false)
    expect(verdict(changed({}, { typ }))).toBe('typ')
  })

  it('never lets the token choose its algorithm', async () => {
    for (const alg of ['none', 'NONE', 'noNE', 'HS256', 'RS256', 'ES256', 'eddsa', 'Ed448', '__proto__']) {
      expect(verdict(changed({}, { alg }))).toBe('alg')
    }
    const spki = createPublicKey(order.pair.privateKey).export({ type: 'spki', format: 'pem' })
    const input = changed({}, { alg: 'HS256' }).split('.').slice(0, 2).join('.')
    const hmac = createHmac('sha256', spki).update(input).digest('base64url')
    expect(verdict(`${input}.${hmac}`)).toBe('alg')
    const ec = await generateSigningKey('ES256')
    expect(verdict(changed({}, { kid: ec.kid }), binding, { key: importPublicJwk(ec.publicJwk) })).toBe('alg')
  })

  it('refuses keys that the token brings along or points to', () => {
    const { publicJwk, privateKey } = stranger.pair
    const header = {
      jwk: publicJwk,
      jku: 'https://evil.example.com/jwks',
      x5u: 'https://evil.example.com',
      x5c: ['MII'],
    }
    const token = forged(goodClaims, { kid: order.pair.kid, ...header }, stranger)
    expect(verdict(token)).toBe('signature')
    const input = Buffer.from(good.slice(0, good.lastIndexOf('.')))
    expect(verdict(`${input}.${sign(null, input, privateKey).toString('base64url')}`)).toBe('signature')
  })

  it.each([
    [undefined],
    ['key-1'],
    ['../../etc/passwd'],
    ["' OR 1=1"],
    ['__proto__'],
    ['A'.repeat(43)],
    ['A'.repeat(1024)],
  ])('refuses %j as the name of the key: it is the thumbprint of the key or nothing', (kid) => {
    expect(verdict(changed({}, { kid }))).toBe('kid')
    // Even where the key is published under that very name.
    const { kid: _, ...jwk } = order.pair.publicJwk
    const key = importPublicJwk({ ...jwk, ...(kid !== undefined && { kid }) })
    expect(verdict(changed({}, { kid }), binding, { key })).toBe('kid')
  })

  it('refuses a kid of a megabyte, and the thumbprint of another key of the same service', () => {
    expect(reasonOf(() => parseJwt(changed({}, { kid: 'A'.repeat(1_000_000) })))).toBe('malformed')
    expect(verdict(changed({}, { kid: stranger.pair.kid }))).toBe('kid')
  })

  it('takes the key for its thumbprint, whatever it is published as', () => {
    const { kid: _, ...jwk } = order.pair.publicJwk
    expect(verdict(good, binding, { key: importPublicJwk(jwk) })).toBe('accepted')
    expect(verdict(good, binding, { key: importPublicJwk({ ...jwk, kid: 'key-1' }) })).toBe('accepted')
  })

  it('refuses critical extensions, unencoded payloads and encryption', () => {
    for (const header of [{ crit: ['x'], x: 1 }, { crit: [] }, { b64: false }, { enc: 'A256GCM' }]) {
      expect(verdict(changed({}, header))).toBe('malformed')
    }
  })

  it('refuses a sender that is not exactly issuer and subject', () => {
    const payment = 'payment-service'
    expect(verdict(changed({ iss: payment }))).toBe('iss')
    expect(verdict(changed({ sub: payment }))).toBe('sender')
    expect(verdict(changed({ sender: payment }))).toBe('iss')
    for (const name of ['iss', 'sub'] as const) {
      for (const value of [undefined, null, '', ['order-service'], 'order', 'order-service ', 'Order-service', 7]) {
        expect(verdict(changed({ [name]: value }))).toBe(name === 'iss' ? 'iss' : 'sender')
      }
    }
  })

  it.each([
    ['order'],
    ['-service'],
    ['--service'],
    ['order-service-service'],
    ['Order-service'],
    ['ördér-service'],
    ['order\n-service'],
    ['order-service\n'],
    ['../order-service'],
    ['order%2f-service'],
    ['order.evil.example.com/-service'],
    [`${'a'.repeat(64)}-service`],
    ['__proto__-service'],
    [['order-service']],
    [{ toString: 'order-service' }],
    [null],
    [undefined],
  ])('refuses the sender %j, for which keys would be looked up', (sender) => {
    const token = changed({ iss: sender, sub: sender, sender })
    expect(reasonOf(() => serviceTokenSender(parseJwt(token)))).toBe('sender')
    expect(verdict(token)).toBe('sender')
  })

  it('gives the short name of the sender, for which keys are looked up', () => {
    for (const short of ['order', 'a', '0', 'a-b', 'service', 'order-', `${'a'.repeat(63)}`]) {
      const sender = `${short}-service`
      expect(serviceTokenSender(parseJwt(changed({ iss: sender, sub: sender, sender })))).toBe(short)
    }
  })

  it('refuses an audience that is not one text, exactly the name of the receiver', () => {
    const others = [
      'inventory',
      'inventory-service/',
      'inventory-service ',
      'Inventory-service',
      'inventory-servicex',
      '',
    ]
    for (const aud of [...others, ['inventory-service'], [], {}, null, undefined, 7]) {
      expect(verdict(changed({ aud }))).toBe('aud')
    }
    expect(verdict(good, binding, { audiences: [] })).toBe('aud')
    expect(verdict(good, binding, { audiences: ['payment-service', 'inventory-service'] })).toBe('accepted')
  })

  it('refuses a jti that is missing, no text, empty or without bound', () => {
    for (const jti of [undefined, null, 7, '', {}, ['a'], 'x'.repeat(129)])
      expect(verdict(changed({ jti }))).toBe('jti')
    expect(verdict(changed({ jti: 'x'.repeat(128) }))).toBe('accepted')
  })

  it('refuses a tenant that is no text, even null', () => {
    for (const tenant of [null, 7, '', {}, ['acme'], true, 'x'.repeat(256)]) {
      expect(verdict(changed({ tenant }))).toBe('tenant')
    }
  })

  it('refuses times that are missing, texts, negative or beyond every number', () => {
    for (const name of ['iat', 'exp'] as const) {
      for (const value of [undefined, null, String(now), -1, {}, [now], true]) {
        expect(verdict(changed({ [name]: value }))).toBe(name)
      }
    }
    expect(verdict(forged(JSON.stringify(goodClaims).replace(`${now + 60}`, '1e999')))).toBe('malformed')
  })

  it('counts the leeway to the second, on both sides', () => {
    expect(verdict(good, binding, { now: now + 69.9 })).toBe('accepted')
    expect(verdict(good, binding, { now: now + 70 })).toBe('expired')
    expect(verdict(good, binding, { now: now - 10 })).toBe('accepted')
    expect(verdict(good, binding, { now: now - 10.1 })).toBe('iat')
    expect(verdict(good, binding, { now: now + 60, leewaySeconds: 0 })).toBe('expired')
    expect(verdict(good, binding, { now: now + 59, leewaySeconds: 0 })).toBe('accepted')
  })

  it('refuses a token that lives longer than configured, however fresh, or not at all', () => {
    expect(verdict(changed({ exp: now + 900 }))).toBe('accepted')
    for (const exp of [now + 901, now + 86_400, 1e15, now, now - 1]) expect(verdict(changed({ exp }))).toBe('exp')
    expect(verdict(good, binding, { maximumLifetimeSeconds: 60 })).toBe('accepted')
    expect(verdict(good, binding, { maximumLifetimeSeconds: 59 })).toBe('exp')
  })

  it('honours an nbf that somebody put in', () => {
    expect(verdict(changed({ nbf: now + 11 }))).toBe('iat')
    expect(verdict(changed({ nbf: 'soon' }))).toBe('iat')
    expect(verdict(changed({ nbf: now + 10 }))).toBe('accepted')
  })

  it('takes no configuration that would switch the checks off', () => {
    for (const rules of [
      { leewaySeconds: 61 },
      { leewaySeconds: -1 },
      { leewaySeconds: Number.NaN },
      { maximumLifetimeSeconds: 901 },
      { maximumLifetimeSeconds: 0 },
      { maximumLifetimeSeconds: Number.NaN },
    ]) {
      expect(() => verdict(good, binding, rules)).toThrow(RangeError)
    }
  })

  it('refuses any other binding than exactly that of the call, and names the first part that differs', () => {
    const bound = (req: unknown) => verdict(changed({ req }))
    const { method, target, digest } = goodClaims.req as Record<string, string>
    for (const req of [undefined, null, [], 'POST', 7, true]) expect(bound(req)).toBe('req')
    expect(bound({})).toBe('method')
    expect(bound({ method })).toBe('target')
    expect(bound({ method, target })).toBe('digest')
    expect(bound({ method: 'GET', target: '/', digest: '' })).toBe('method')
    expect(bound({ method, target: '/', digest: '' })).toBe('target')
    expect(bound({ method, target, digest: digest?.toUpperCase() })).toBe('digest')
    expect(bound({ method, target, digest: null })).toBe('digest')
    expect(bound({ method: [method], target, digest })).toBe('method')
    expect(bound({ method, target, digest, host: 'inventory' })).toBe('req')
    expect(bound({ digest, target, method })).toBe('accepted')
  })

  it('refuses a token of one transport on another', () => {
    const message = call.content
    const bindings = {
      http: httpBinding({ ...call, method: 'POST' }),
      grpc: grpcBinding({ method: '/shop.Inventory/DecreaseStock', message }),
      kafka: kafkaRecordBinding({ topic: 'orders.created', key: null, value: message }),
    }
    for (const [sent, { transport: _, ...req }] of Object.entries(bindings)) {
      for (const [received, expected] of Object.entries(bindings)) {
        const told = verdict(changed({ req }), expected)
        if (sent === received) expect(told).toBe('accepted')
        else expect(['method', 'topic', 'req']).toContain(told)
      }
    }
    // Not even where all that the two have in common is the same.
    const { digest } = bindings.http as { digest: string }
    const http = { method: 'POST', target: '/', digest }
    expect(verdict(changed({ req: http }), grpcBinding({ method: 'POST', message }))).toBe('req')
  })

  it('compares topic, key and content of a record in this order', () => {
    const record = { topic: 'orders.created', key: Buffer.from('o-1'), value: call.content }
    const { transport: _, ...req } = kafkaRecordBinding(record)
    const told = (changes: object) => verdict(changed({ req }), kafkaRecordBinding({ ...record, ...changes }))
    expect(told({})).toBe('accepted')
    expect(told({ value: null })).toBe('digest')
    expect(told({ key: null, value: null })).toBe('key')
    expect(told({ topic: 'orders', key: null, value: null })).toBe('topic')
  })

  it('takes a digest of null only where the definition of the method says that requests are streamed', () => {
    const method = '/shop.Inventory/Watch'
    const streamed = changed({ req: { method, digest: null } })
    expect(verdict(streamed, grpcBinding({ method, message: null }))).toBe('accepted')
    expect(verdict(streamed, grpcBinding({ method, message: Buffer.alloc(0) }))).toBe('digest')
    expect(verdict(changed({ req: { method } }), grpcBinding({ method, message: null }))).toBe('digest')
  })

  it('refuses a signature of zeros, of wrong length, and one to which the order of the group was added', () => {
    const input = good.slice(0, good.lastIndexOf('.'))
    const signature = Buffer.from(good.slice(input.length + 1), 'base64url')
    const withSignature = (bytes: Buffer) => verdict(`${input}.${bytes.toString('base64url')}`)
    expect(withSignature(Buffer.alloc(64))).toBe('signature')
    expect(withSignature(signature.subarray(0, 63))).toBe('signature')
    expect(withSignature(Buffer.concat([signature, Buffer.alloc(1)]))).toBe('signature')
    const group = 2n ** 252n + 27742317777372353535851937790883648493n
    const s = BigInt(`0x${Buffer.from(signature.subarray(32)).reverse().toString('hex')}`) + group
    const malleated = Buffer.from(s.toString(16).padStart(64, '0'), 'hex').reverse()
    expect(withSignature(Buffer.concat([signature.subarray(0, 32), malleated]))).toBe('signature')
    expect(verdict(`${input}.`)).toBe('malformed')
  })

  it('refuses every other spelling of the same token', () => {
    for (const token of [
      `${good}=`,
      `${good}==`,
      ` ${good}`,
      `${good}\n`,
      `${good}.`,
      good.replace('.', '..'),
      `${good}.x`,
    ]) {
      expect(verdict(token)).toBe('malformed')
    }
    expect(verdict(JSON.stringify({ payload: good.split('.')[1], signatures: [] }))).toBe('malformed')
  })

  it('refuses claims given twice, deep, that would set a prototype, or that are not UTF-8', () => {
    const text = JSON.stringify(goodClaims).slice(1)
    expect(verdict(forged(`{"sender":"admin-service",${text}`))).toBe('malformed')
    expect(verdict(forged(`{"__proto__":{"tenant":"acme"},${text}`))).toBe('malformed')
    expect(verdict(forged(`{"a":${'['.repeat(100)}${']'.repeat(100)},${text}`))).toBe('malformed')
    expect(verdict(forged(`\ufeff{${text}`))).toBe('malformed')
    expect(verdict(forged(JSON.stringify({ ...goodClaims, pad: 'x'.repeat(20_000) })))).toBe('malformed')
  })

  it('refuses a header with a member given twice, and bytes that are not UTF-8', () => {
    const spelt = (header: string | Buffer, claims: string | Buffer) => {
      const input = [header, claims].map((part) => Buffer.from(part as string).toString('base64url')).join('.')
      return `${input}.${sign(null, Buffer.from(input), order.pair.privateKey).toString('base64url')}`
    }
    const header = JSON.stringify({ alg: 'EdDSA', typ: 'm2m+jwt', kid: order.pair.kid })
    const claims = JSON.stringify(goodClaims)
    expect(verdict(spelt(header, claims))).toBe('accepted')
    expect(verdict(spelt(`{"alg":"none",${header.slice(1)}`, claims))).toBe('malformed')
    expect(verdict(spelt(`{"kid":"other",${header.slice(1)}`, claims))).toBe('malformed')
    const invalid = Buffer.from(claims.replace('inventory', 'inventor\u00ff'), 'latin1')
    expect(verdict(spelt(header, invalid))).toBe('malformed')
    expect(verdict(spelt(Buffer.from(header.replace('EdDSA', 'EdDS\u00ff'), 'latin1'), claims))).toBe('malformed')
  })

  it('tells neither the content nor the query, which may hold secrets, nor the token in its message', () => {
    const secret = 'canary-8f3a'
    const received = httpBinding({ ...call, target: `/v1/stock?key=${secret}`, content: Buffer.from(secret) })
    const messages = [received, httpBinding({ ...call, target: `/other?key=${secret}` })].map(
      (one) => thrownBy(() => checkServiceToken(parseJwt(good), order.key, { audiences, binding: one }, now)).message,
    )
    expect(messages).toEqual([
      'the token is for another query of "/v1/stock"',
      'the token is for the path "/v1/stock", the call has "/other"; is a proxy rewriting it?',
    ])
    for (const message of messages) expect(message).not.toContain(secret)
  })

  it('is not fooled by any one bit of the token changed', () => {
    const bytes = Buffer.from(good)
    fc.assert(
      fc.property(fc.nat(bytes.length - 1), fc.nat(6), (at, bit) => {
        const altered = Buffer.from(bytes)
        altered[at]! ^= 1 << bit
        expect(verdict(altered.toString('latin1'))).not.toBe('accepted')
      }),
      { numRuns: 2000 },
    )
  })

  it('answers every well-signed nonsense with a reason, and nothing else', () => {
    const nonsense = fc.record(
      Object.fromEntries(Object.keys(goodClaims).map((name) => [name, fc.jsonValue({ maxDepth: 3 })])),
      { requiredKeys: [] },
    )
    fc.assert(
      fc.property(nonsense, (claims) => {
        const reason = verdict(forged({ ...goodClaims, ...claims }))
        if (reason !== 'accepted') expect(serviceTokenReasons).toContain(reason)
      }),
      { numRuns: 500 },
    )
  })

  it('accepts for every call what was signed for it, and for no other', () => {
    const calls = fc.record({
      method: fc.constantFrom('GET', 'POST', 'DELETE', 'PROPFIND'),
      target: fc.webPath().map((path) => `/${path}`),
      content: fc.uint8Array({ maxLength: 64 }),
    })
    const signer = createServiceTokenSigner({
      name: 'order',
      key: { key: order.pair.privateKey, publicJwk: order.pair.publicJwk },
      now: () => now * 1000,
    })
    fc.assert(
      fc.property(calls, calls, (one, other) => {
        const [signed, received] = [httpBinding(one), httpBinding(other)]
        const token = signer.sign({ audience: 'inventory-service', binding: signed })
        expect(verdict(token, signed)).toBe('accepted')
        const same = JSON.stringify(signed) === JSON.stringify(received)
        expect(verdict(token, received) === 'accepted').toBe(same)
      }),
      { numRuns: 200 },
    )
  })
})

describe('serviceTokenIssuedAt', () => {
  const claims = (changes: object) => ({ ...goodClaims, ...changes }) as ServiceTokenClaims
  const version7 = (milliseconds: number) => {
    const time = milliseconds.toString(16).padStart(12, '0')
    return `${time.slice(0, 8)}-${time.slice(8)}-7abc-8def-0123456789ab`
  }

  it('tells the millisecond from a UUIDv7', () => {
    expect(serviceTokenIssuedAt(claims({ jti: version7(now * 1000 + 123) }))).toBe(now + 0.123)
    expect(serviceTokenIssuedAt(claims({ jti: version7(now * 1000 + 999).toUpperCase() }))).toBe(now + 0.999)
  })

  it('takes the end of the second of iat where the jti is another, or disagrees', () => {
    const others = [version7(now * 1000 - 1), version7(now * 1000 + 1000), version7(0), 'x', goodClaims.jti]
    for (const jti of others) expect(serviceTokenIssuedAt(claims({ jti }))).toBe(now + 0.999)
  })

  it('believes an iat that has a fraction', () => {
    expect(serviceTokenIssuedAt(claims({ iat: now + 0.25 }))).toBe(now + 0.25)
  })
})

it('refuses other algorithms and names of keys before any key is looked up', () => {
  const sender = (header: object) => reasonOf(() => serviceTokenSender(parseJwt(changed({}, header))))
  for (const alg of ['none', 'HS256', 'ES256', 'eddsa']) expect(sender({ alg })).toBe('alg')
  for (const kid of [undefined, 'key-1', '../key', 'A'.repeat(44), 'A'.repeat(42), `${'A'.repeat(42)}=`]) {
    expect(sender({ kid })).toBe('kid')
  }
  expect(sender({})).toBe('accepted')
})

it('is no service token where the header has no type, and says so before anything else', () => {
  const error = thrownBy(() => serviceTokenSender(parseJwt(forged({}, { typ: 'JWT', alg: 'none', kid: undefined }))))
  expect(error).toMatchObject({ code: 'wrong_type', part: 'typ' })
  expect(error.message).toBe('a service token has the type "m2m+jwt", not "JWT"')
})

function thrownBy(work: () => unknown): Error {
  try {
    work()
  } catch (error) {
    return error as Error
  }
  throw new Error('nothing was thrown')
}
