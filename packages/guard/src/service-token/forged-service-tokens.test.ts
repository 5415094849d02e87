import { createHmac, createPublicKey, generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import { createMemorySingleUse } from '@countersign/limits'
import { createSigner, generateSigningKey, httpBinding } from '@countersign/tokens'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { reasonOf } from './reason.fixture.ts'
import { bindingOf, startSenders, type TestSender, type TestSenders } from './senders.fixture.ts'
import { createServiceTokenVerifier, type ServiceTokenVerifier } from './service-token-verifier.ts'

const call = { method: 'POST', target: '/v1/stock?sku=1', content: '{"n":1}' }
const received = { transport: 'http', ...call, content: Buffer.from(call.content) } as const
let senders: TestSenders
let order: TestSender
let billing: TestSender
let verifier: ServiceTokenVerifier
let attacker: KeyObject

beforeAll(async () => {
  senders = await startSenders()
  order = await senders.add('order')
  billing = await senders.add('billing')
  attacker = generateKeyPairSync('ed25519').privateKey
  verifier = createServiceTokenVerifier({
    name: 'inventory',
    keys: senders.template,
    uses: createMemorySingleUse(),
  })
})
afterAll(() => senders.stop())

const reason = (token: string, by = verifier) => reasonOf(by.verify(token, received))
const claims = (changes: Record<string, unknown> = {}) => ({ ...order.claims(bindingOf(call)), ...changes })
const encode = (value: unknown) =>
  (Buffer.isBuffer(value) ? value : Buffer.from(typeof value === 'string' ? value : JSON.stringify(value))).toString(
    'base64url',
  )
const signWith = (key: KeyObject, header: unknown, payload: unknown = claims()) => {
  const input = `${encode(header)}.${encode(payload)}`
  return `${input}.${sign(null, Buffer.from(input), key).toString('base64url')}`
}
const header = () => ({ typ: 'm2m+jwt', alg: 'EdDSA', kid: order.kid })

describe('a service token is refused', () => {
  it('when nothing but its signature is wrong', async () => {
    expect(await reason(signWith(attacker, header()))).toBe('signature')
    expect(await reason(order.forge(claims()))).toBe('accepted')
  })

  it.each(['none', 'NONE', 'noNE', ''])('with algorithm %j, with and without a signature (1)', async (alg) => {
    const input = `${encode({ ...header(), alg })}.${encode(claims())}`
    expect(await reason(`${input}.`)).toMatch(/^(malformed|alg)$/)
    expect(await reason(`${input}.AAAA`)).toMatch(/^(malformed|alg)$/)
  })

  it('keyed with the published key as an HMAC secret (2, 3)', async () => {
    const publicKey = createPublicKey(order.key.key)
    const pem = publicKey.export({ format: 'pem', type: 'spki' })
    for (const secret of [pem, `\n${pem}`, publicKey.export({ format: 'der', type: 'spki' }), '', order.kid]) {
      const input = `${encode({ ...header(), alg: 'HS256' })}.${encode(claims())}`
      const token = `${input}.${createHmac('sha256', secret).update(input).digest('base64url')}`
      expect(await reason(token)).toBe('alg')
    }
  })

  it('with another algorithm, also one that its sender could publish a key for (4)', async () => {
    const key = await generateSigningKey('ES256')
    senders.published.set('both', [key.publicJwk])
    const signer = createSigner({ algorithm: 'ES256', key: key.privateKey, kid: key.kid, type: 'm2m+jwt' })
    const both = 'both-service'
    expect(await reason(signer.sign(claims({ iss: both, sub: both, sender: both })))).toBe('alg')
    expect(await reason(signWith(attacker, { typ: 'm2m+jwt', alg: 'EdDSA', kid: key.kid }))).toBe('kid')
  })

  it('that brings its own key along (5)', async () => {
    const jwk = createPublicKey(attacker).export({ format: 'jwk' })
    const own = { jwk, jku: 'http://localhost:1/keys', x5u: 'http://localhost:1/', x5c: ['MIIB'] }
    expect(await reason(signWith(attacker, { ...header(), ...own }))).toBe('signature')
  })

  it.each(['../../etc/passwd', "' OR 1=1 --", '__proto__', 'constructor', 'x'.repeat(1024), '\u0000', undefined, 7])(
    'whose kid is %j (6)',
    async (kid) => {
      expect(await reason(signWith(attacker, { ...header(), kid }))).toBe('kid')
    },
  )

  it('with crit or b64, detached, in JSON, with extra dots, encrypted (7, 8, 9, 10)', async () => {
    expect(await reason(signWith(order.key.key, { ...header(), crit: ['exp'] }))).toBe('malformed')
    expect(await reason(signWith(order.key.key, { ...header(), b64: false }))).toBe('malformed')
    const [protectedHeader, payload, signature] = order.forge(claims()).split('.')
    expect(await reason(`${protectedHeader}..${signature}`)).toBe('malformed')
    expect(await reason(JSON.stringify({ protected: protectedHeader, payload, signature }))).toBe('malformed')
    expect(await reason(`${protectedHeader}.${payload}.${signature}.`)).toBe('malformed')
    expect(await reason(`${encode({ alg: 'dir', enc: 'A256GCM' })}..AAAA.AAAA.AAAA`)).toBe('malformed')
  })

  it('of another type, signed by the very same key (11)', async () => {
    for (const typ of [undefined, 'JWT', 'at+jwt', 'wit+jwt', 'client-authentication+jwt', 'm2m', 'xm2m+jwt']) {
      expect(await reason(order.forge(claims(), { typ })), String(typ)).toBe('typ')
    }
    expect(await reason(order.forge(claims(), { typ: 'M2M+JWT' }))).toBe('accepted')
    expect(await reason(order.forge(claims(), { typ: 'application/m2m+jwt' }))).toBe('accepted')
  })

  it('with a name twice in header or claims (12)', async () => {
    const twiceInHeader = `{"alg":"EdDSA","alg":"none","typ":"m2m+jwt","kid":"${order.kid}"}`
    expect(await reason(signWith(order.key.key, twiceInHeader))).toBe('malformed')
    const twice = `${JSON.stringify(claims()).slice(0, -1)},"sender":"billing-service"}`
    expect(await reason(signWith(order.key.key, header(), twice))).toBe('malformed')
    const within = JSON.stringify(claims()).replace('"method":"POST"', '"method":"POST","method":"POST"')
    expect(await reason(signWith(order.key.key, header(), within))).toBe('malformed')
  })

  it('whose times are missing, text, negative, not finite, too far apart, or of another day (13)', async () => {
    const now = Math.floor(Date.now() / 1000)
    for (const exp of [undefined, '9999999999', null, [now + 60], true]) {
      expect(await reason(order.forge(claims({ exp }))), String(exp)).toBe('exp')
    }
    for (const iat of [undefined, 'x', null, Number.MAX_VALUE]) {
      expect(await reason(order.forge(claims({ iat }))), String(iat)).toMatch(/^(iat|exp)$/)
    }
    const infinite = JSON.stringify(claims()).replace(/"exp":\d+/, '"exp":1e999')
    expect(await reason(signWith(order.key.key, header(), infinite))).toBe('malformed')
    expect(await reason(order.forge(claims({ exp: now + 901, iat: now })))).toBe('exp')
    expect(await reason(order.forge(claims({ exp: now - 1, iat: now })))).toBe('exp')
    expect(await reason(order.forge(claims({ iat: now - 100, exp: now - 40 })))).toBe('expired')
    expect(await reason(order.forge(claims({ iat: now + 40, exp: now + 100 })))).toBe('iat')
    expect(await reason(order.forge(claims({ nbf: now + 40 })))).toBe('iat')
  })

  it('whose iss, sub and sender are not one (14)', async () => {
    expect(await reason(order.forge(claims({ iss: 'billing-service' })))).toBe('iss')
    expect(await reason(order.forge(claims({ iss: ['order-service'] })))).toBe('iss')
    expect(await reason(order.forge(claims({ sub: 'billing-service' })))).toBe('sender')
    for (const sender of [undefined, 'order', ['order-service'], 'Order-service', 'order-service ', '-service', 7]) {
      const named = { sender, iss: sender, sub: sender }
      expect(await reason(order.forge(claims(named))), String(sender)).toBe('sender')
    }
  })

  it("in the name of a sender whose keys are not the signer's", async () => {
    const named = { sender: 'billing-service', iss: 'billing-service', sub: 'billing-service' }
    expect(await reason(order.forge(claims(named)))).toBe('kid')
    expect(await reason(order.forge(claims(named), { kid: billing.kid }))).toBe('signature')
  })

  it('whose sender would lead elsewhere than to a sender (31)', async () => {
    for (const short of ['..', '../x', 'a/b', 'a%2fb', 'a?b', 'a#b', 'a@b', 'a.b', 'a\\b', '', 'x'.repeat(64), 'é']) {
      const sender = `${short}-service`
      expect(await reason(order.forge(claims({ sender, iss: sender, sub: sender }))), short).toBe('sender')
    }
    for (const name of senders.asked.keys()) expect(name).toMatch(/^[a-z0-9][a-z0-9-]*$/)
  })

  it('whose aud only resembles the receiver (15)', async () => {
    for (const aud of [
      'inventory',
      'inventory-service2',
      'INVENTORY-SERVICE',
      ' inventory-service',
      'x',
      '',
      undefined,
    ]) {
      expect(await reason(order.forge(claims({ aud }))), String(aud)).toBe('aud')
    }
    for (const aud of [['inventory-service'], ['inventory-service', 'x'], null, 7, {}]) {
      expect(await reason(order.forge(claims({ aud }))), String(aud)).toBe('aud')
    }
    expect(await reason(order.forge(claims({ aud: 'kafka:orders' })))).toBe('aud')
  })

  it('that is not UTF-8, deep, long, or written differently (16, 17, 18)', async () => {
    const bytes = Buffer.from(JSON.stringify(claims()))
    const broken = Buffer.concat([bytes.subarray(0, -1), Buffer.from([0xff]), bytes.subarray(-1)])
    expect(await reason(signWith(order.key.key, header(), broken))).toBe('malformed')
    const deep = `${'{"a":'.repeat(10_000)}1${'}'.repeat(10_000)}`
    expect(await reason(signWith(order.key.key, header(), deep))).toBe('malformed')
    expect(await reason('a'.repeat(10_000_000))).toBe('malformed')
    const token = order.forge(claims())
    expect(await reason(`${token}=`)).toBe('malformed')
    expect(await reason(token)).toBe('accepted')
    // Two of its last letters' bits are not used: a lax decoder would read the same token from another text.
    const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
    for (const letter of letters) {
      expect(await reason(token.slice(0, -1) + letter)).toMatch(/^(malformed|signature|replayed)$/)
    }
  })

  it('without a proper jti, req or tenant', async () => {
    for (const jti of [undefined, '', 7, null, 'x'.repeat(129)]) {
      expect(await reason(order.forge(claims({ jti }))), String(jti)).toBe('jti')
    }
    for (const req of [undefined, null, 'x', [], 7]) expect(await reason(order.forge(claims({ req })))).toBe('req')
    for (const tenant of ['', 7, null, []]) expect(await reason(order.forge(claims({ tenant })))).toBe('tenant')
  })

  it('whose binding lacks a member, has one more, or is of another transport', async () => {
    const { transport: _http, ...req } = httpBinding({ ...call, content: Buffer.from(call.content) }) as {
      transport: 'http'
      method: string
      target: string
      digest: string
    }
    expect(await reason(order.forge(claims({ req: { ...req, method: undefined } })))).toBe('method')
    expect(await reason(order.forge(claims({ req: { ...req, target: undefined } })))).toBe('target')
    expect(await reason(order.forge(claims({ req: { ...req, digest: null } })))).toBe('digest')
    expect(await reason(order.forge(claims({ req: { ...req, digest: [req.digest] } })))).toBe('digest')
    expect(await reason(order.forge(claims({ req: { ...req, digest: req.digest.slice(8) } })))).toBe('digest')
    expect(await reason(order.forge(claims({ req: { ...req, method: 'post' } })))).toBe('method')
    expect(await reason(order.forge(claims({ req: { ...req, headers: [] } })))).toBe('req')
    expect(await reason(order.forge(claims({ req: { topic: 'orders', key: null, digest: null } })))).toBe('method')
    const asGrpc = order.forge(claims({ req: { method: '/shop.Inventory/Decrease', digest: null } }))
    expect(await reason(asGrpc)).toBe('method')
  })

  it('signed with a weak key, even when that is published (22, 23)', async () => {
    const identity = { kty: 'OKP', crv: 'Ed25519', x: `AQ${'A'.repeat(41)}` }
    senders.published.set('weak', [identity as never])
    const weak = { sender: 'weak-service', iss: 'weak-service', sub: 'weak-service' }
    const input = `${encode({ typ: 'm2m+jwt', alg: 'EdDSA', kid: 'x'.repeat(43) })}.${encode(claims(weak))}`
    const point = Buffer.alloc(64)
    point[0] = 1
    expect(await reason(`${input}.${point.toString('base64url')}`)).toBe('kid')
    // S + L is the same signature to a lax verifier.
    const [head, payload, signature] = order.forge(claims()).split('.') as [string, string, string]
    const bytes = Buffer.from(signature, 'base64url')
    const order25519 = 2n ** 252n + 27742317777372353535851937790883648493n
    let scalar = BigInt(`0x${Buffer.from(bytes.subarray(32)).reverse().toString('hex')}`) + order25519
    for (let at = 32; at < 64; at++, scalar >>= 8n) bytes[at] = Number(scalar & 255n)
    expect(await reason(`${head}.${payload}.${bytes.toString('base64url')}`)).toBe('signature')
  })
})
