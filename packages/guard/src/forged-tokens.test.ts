import { createHmac, createPublicKey, generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import { importPublicJwk } from '@countersign/tokens'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createGuard, type Guard } from './guard.ts'
import { GuardError } from './guard-error.ts'
import { audience, goodClaims, startIssuer, type TestIssuer } from './issuer.fixture.ts'

let issuer: TestIssuer
let guard: Guard
let attacker: KeyObject
let attackerJwk: object

beforeAll(async () => {
  issuer = await startIssuer()
  guard = createGuard({ issuer: issuer.issuer, audience })
  const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  attacker = pair.privateKey
  attackerJwk = pair.publicKey.export({ format: 'jwk' })
})
afterAll(() => issuer.stop())

const encode = (value: unknown) =>
  (Buffer.isBuffer(value) ? value : Buffer.from(typeof value === 'string' ? value : JSON.stringify(value))).toString(
    'base64url',
  )

/** Signs anything with the attacker's own key. */
function forge(header: unknown, claims: unknown = goodClaims(issuer.issuer)): string {
  const input = `${encode(header)}.${encode(claims)}`
  return `${input}.${sign('sha256', Buffer.from(input), { key: attacker, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`
}

async function reasonFor(token: string, by: Guard = guard): Promise<string> {
  try {
    await by.verify({ headers: { authorization: `Bearer ${token}` } })
  } catch (error) {
    if (!(error instanceof GuardError)) throw error
    // A token that is at fault is never a 403, a 503 or a crash.
    expect([400, 401]).toContain(error.status)
    return error.reason
  }
  return 'accepted'
}

describe('a guard refuses a token', () => {
  it.each(['none', 'NONE', 'noNE', 'None', ''])('with algorithm %j, with and without a signature (1)', async (alg) => {
    const input = `${encode({ alg, typ: 'at+jwt', kid: issuer.kid })}.${encode(goodClaims(issuer.issuer))}`
    expect(await reasonFor(`${input}.`)).toMatch(/malformed|unsupported_algorithm/)
    expect(await reasonFor(`${input}.AAAA`)).toMatch(/malformed|unsupported_algorithm/)
  })

  it('whose good signature was cut off, cut short or swapped (1)', async () => {
    const [header, payload, signature] = issuer.token().split('.') as [string, string, string]
    const other = issuer.token().split('.')[2]
    expect(await reasonFor(`${header}.${payload}.`)).toBe('malformed_token')
    expect(await reasonFor(`${header}.${payload}.${signature.slice(0, -6)}`)).toBe('invalid_signature')
    expect(await reasonFor(`${header}.${payload}.${other}`)).toBe('invalid_signature')
    expect(await reasonFor(`${header}.${payload}.${encode(Buffer.alloc(64))}`)).toBe('invalid_signature')
  })

  it('keyed with the published key as an HMAC secret, in PEM, DER, JWK and with bytes before it (2)', async () => {
    const publicKey = createPublicKey({ key: issuer.keys[0] as never, format: 'jwk' })
    const pem = publicKey.export({ format: 'pem', type: 'spki' })
    const secrets = [pem, `\n${pem}`, pem.toString().trim(), publicKey.export({ format: 'der', type: 'spki' }), '']
    for (const secret of [...secrets, JSON.stringify(issuer.keys[0])]) {
      for (const kid of [issuer.kid, undefined, '']) {
        const input = `${encode({ alg: 'HS256', typ: 'at+jwt', kid })}.${encode(goodClaims(issuer.issuer))}`
        const token = `${input}.${createHmac('sha256', secret).update(input).digest('base64url')}`
        expect(await reasonFor(token)).toMatch(/unsupported_algorithm|malformed_token/)
      }
    }
  })

  it('that names an algorithm which the key is not for (4)', async () => {
    for (const alg of ['ES384', 'RS256', 'PS256', 'EdDSA', 'Ed25519']) {
      expect(await reasonFor(forge({ alg, typ: 'at+jwt', kid: issuer.kid }))).toMatch(
        /unknown_key|unsupported_algorithm/,
      )
    }
  })

  it('that brings its own key along (5)', async () => {
    const header = { alg: 'ES256', typ: 'at+jwt' }
    const own = { jwk: attackerJwk, jku: 'http://localhost:1/keys', x5u: 'http://localhost:1/', x5c: ['MIIB'] }
    expect(await reasonFor(forge({ ...header, ...own, kid: issuer.kid }))).toBe('invalid_signature')
    expect(await reasonFor(forge({ ...header, ...own, kid: 'mine' }))).toBe('unknown_key')
    expect(await reasonFor(forge({ ...header, ...own }))).toMatch(/invalid_signature|unknown_key/)
  })

  it.each(['../../etc/passwd', "' OR 1=1 --", '__proto__', 'constructor', 'x'.repeat(1024), '\u0000', '%00'])(
    'whose kid is %j (6)',
    async (kid) => {
      expect(await reasonFor(forge({ alg: 'ES256', typ: 'at+jwt', kid }))).toBe('unknown_key')
    },
  )

  it('whose kid is no string, or a megabyte (6)', async () => {
    for (const kid of [1, null, {}, [issuer.kid], '', 'x'.repeat(1_048_576)]) {
      expect(await reasonFor(forge({ alg: 'ES256', typ: 'at+jwt', kid }))).toBe('malformed_token')
    }
  })

  it('with crit, b64, or a detached payload (7, 8)', async () => {
    const header = { alg: 'ES256', typ: 'at+jwt', kid: issuer.kid }
    expect(await reasonFor(forge({ ...header, crit: ['exp'] }))).toBe('malformed_token')
    expect(await reasonFor(forge({ ...header, crit: [] }))).toBe('malformed_token')
    expect(await reasonFor(forge({ ...header, b64: false }))).toBe('malformed_token')
    const [protectedHeader, , signature] = issuer.token().split('.')
    expect(await reasonFor(`${protectedHeader}..${signature}`)).toBe('malformed_token')
  })

  it('in JSON serialization, with extra dots, or encrypted (9, 10)', async () => {
    const [header, payload, signature] = issuer.token().split('.')
    expect(await reasonFor(JSON.stringify({ protected: header, payload, signature }))).toBe('malformed_authorization')
    expect(await reasonFor(`${header}.${payload}.${signature}.`)).toBe('malformed_token')
    expect(await reasonFor(`.${header}.${payload}.${signature}`)).toBe('malformed_token')
    expect(await reasonFor(`${encode({ alg: 'dir', enc: 'A256GCM' })}..AAAA.AAAA.AAAA`)).toBe('malformed_token')
  })

  it('of another type, signed by the very same issuer and key (11)', async () => {
    for (const typ of [undefined, 'JWT', 'm2m+jwt', 'client-authentication+jwt', 'wit+jwt', 'dpop+jwt', 'id+jwt']) {
      expect(await reasonFor(issuer.token({}, { typ })), typ).toBe('wrong_type')
    }
    expect(await reasonFor(issuer.token({}, { typ: 'application/at+jwt' }))).toBe('accepted')
    expect(await reasonFor(issuer.token({}, { typ: 'AT+JWT' }))).toBe('accepted')
  })

  it('with a name twice in header or claims (12)', async () => {
    const header = `{"alg":"ES256","alg":"none","typ":"at+jwt","kid":"${issuer.kid}"}`
    expect(await reasonFor(forge(header))).toBe('malformed_token')
    const claims = JSON.stringify(goodClaims(issuer.issuer))
    const twice = `${claims.slice(0, -1)},"scope":"admin:all"}`
    expect(await reasonFor(forge({ alg: 'ES256', typ: 'at+jwt', kid: issuer.kid }, twice))).toBe('malformed_token')
  })

  it('whose exp is missing, text, negative, or not finite (13)', async () => {
    for (const exp of [undefined, '9999999999', null, [9999999999], true]) {
      expect(await reasonFor(issuer.token({ exp })), String(exp)).toBe('invalid_claim')
    }
    expect(await reasonFor(issuer.token({ exp: -1 }))).toMatch(/invalid_claim|expired_token/)
    const claims = JSON.stringify(goodClaims(issuer.issuer)).replace(/"exp":\d+/, '"exp":1e999')
    expect(await reasonFor(forge({ alg: 'ES256', typ: 'at+jwt', kid: issuer.kid }, claims))).toBe('malformed_token')
  })

  it('whose iss is a list, or the issuer in another spelling (14)', async () => {
    const name = issuer.issuer
    const spellings = [
      [name],
      [name, 'x'],
      name.slice(0, -1),
      `${name}/`,
      name.toUpperCase(),
      ` ${name}`,
      null,
      undefined,
    ]
    for (const iss of spellings) expect(await reasonFor(issuer.token({ iss })), String(iss)).toBe('wrong_issuer')
  })

  it('whose aud only resembles the audience (15)', async () => {
    const others = [
      `${audience}/`,
      audience.slice(0, -1),
      `${audience}.evil.test`,
      audience.toUpperCase(),
      `x ${audience}`,
    ]
    for (const aud of [...others, others, ['x']]) expect(await reasonFor(issuer.token({ aud }))).toBe('wrong_audience')
    for (const aud of [undefined, null, 7, {}, [], [[audience]], [7]]) {
      expect(await reasonFor(issuer.token({ aud }))).toMatch(/wrong_audience|invalid_claim/)
    }
    expect(await reasonFor(issuer.token({ aud: ['x', audience] }))).toBe('accepted')
  })

  it('that is not UTF-8, or begins with a byte order mark (16)', async () => {
    const header = encode({ alg: 'ES256', typ: 'at+jwt', kid: issuer.kid })
    const claims = Buffer.from(JSON.stringify(goodClaims(issuer.issuer)))
    for (const bytes of [
      Buffer.concat([Buffer.from([0xef, 0xbb, 0xbf]), claims]),
      Buffer.concat([claims.subarray(0, -1), Buffer.from([0xff]), claims.subarray(-1)]),
    ]) {
      const input = `${header}.${encode(bytes)}`
      const signature = sign('sha256', Buffer.from(input), { key: attacker, dsaEncoding: 'ieee-p1363' })
      expect(await reasonFor(`${input}.${signature.toString('base64url')}`)).toBe('malformed_token')
    }
  })

  it('that is a good one written differently, also when the good one is remembered (17)', async () => {
    const token = issuer.token()
    expect(await reasonFor(token)).toBe('accepted')
    const last = token.at(-1)!
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
    // 64 bytes end in four unused bits: fifteen other last letters decode to the same signature in a lax decoder.
    const others = [...alphabet].filter((letter) => letter !== last).map((letter) => token.slice(0, -1) + letter)
    const variants = [
      ...others,
      `${token}=`,
      `${token}==`,
      token.replace(/[-_]/, (found) => (found === '-' ? '+' : '/')),
    ]
    for (const variant of variants.filter((text) => text !== token)) {
      expect(await reasonFor(variant), variant.slice(-6)).toMatch(/malformed_token|invalid_signature/)
    }
  })

  it('with ten thousand levels, or ten megabytes (18)', async () => {
    const deep = `${'{"a":'.repeat(10_000)}1${'}'.repeat(10_000)}`
    expect(await reasonFor(forge({ alg: 'ES256', typ: 'at+jwt', kid: issuer.kid }, deep))).toBe('malformed_token')
    const before = process.cpuUsage()
    expect(await reasonFor('a'.repeat(10_000_000))).toBe('malformed_token')
    expect(await reasonFor(`${'a.'.repeat(5_000_000)}a`)).toBe('malformed_token')
    expect(process.cpuUsage(before).user / 1000).toBeLessThan(2_000)
  })

  it('every time in a row, with no memory from one look to the next (20)', async () => {
    const good = issuer.token()
    for (let round = 0; round < 5; round++) {
      expect(await reasonFor(good)).toBe('accepted')
      expect(await reasonFor(`${good}A`)).toMatch(/malformed_token|invalid_signature/)
      expect(await reasonFor(forge({ alg: 'ES256', typ: 'at+jwt', kid: issuer.kid }))).toBe('invalid_signature')
    }
  })

  it('that is bound to a key, since nothing here proves that key', async () => {
    expect(await reasonFor(issuer.token({ cnf: { jkt: 'x' } }))).toBe('proof_required')
    expect(await reasonFor(issuer.token({ cnf: { 'x5t#S256': 'x' } }))).toBe('proof_required')
  })

  it('without the claims that an access token must have, or with a scope that is none', async () => {
    for (const name of ['sub', 'client_id', 'jti', 'iat']) {
      expect(await reasonFor(issuer.token({ [name]: undefined })), name).toBe('invalid_claim')
    }
    for (const scope of [['read:orders'], 7, 'a"b', { a: 1 }]) {
      expect(await reasonFor(issuer.token({ scope })), String(scope)).toBe('invalid_claim')
    }
  })
})

describe('a guard', () => {
  it('is not built without what it would have to check (33)', () => {
    const issuerName = 'https://auth.example/'
    expect(() => createGuard({ audience } as never)).toThrow(/issuer/)
    expect(() => createGuard({ issuer: [], audience })).toThrow(/issuer/)
    expect(() => createGuard({ issuer: '', audience })).toThrow(/issuer/)
    expect(() => createGuard({ issuer: issuerName } as never)).toThrow(/audience/)
    expect(() => createGuard({ issuer: issuerName, audience: [] })).toThrow(/audience/)
    expect(() => createGuard({ issuer: issuerName, audience: ['a', ''] })).toThrow(/audience/)
    expect(() => createGuard({ issuer: issuerName, audience, leewaySeconds: 61 })).toThrow(/leewaySeconds/)
    expect(() => createGuard({ issuer: issuerName, audience, leewaySeconds: Number.NaN })).toThrow(/leewaySeconds/)
    expect(() => createGuard({ issuer: issuerName, audience, algorithms: [] })).toThrow(/algorithm/)
    expect(() => createGuard({ issuer: issuerName, audience, algorithms: ['HS256' as never] })).toThrow(/HS256/)
    expect(() => createGuard({ issuer: issuerName, audience, algorithms: ['none' as never] })).toThrow(/none/)
    expect(() => createGuard({ issuer: [issuerName, issuerName], audience })).toThrow(/twice/)
    expect(() => createGuard({ issuer: 'http://auth.example/', audience })).toThrow(/https/)
  })

  it('takes only the algorithms that it was given', async () => {
    const narrow = createGuard({ issuer: issuer.issuer, audience, algorithms: ['RS256'] })
    expect(await reasonFor(issuer.token(), narrow)).toBe('unsupported_algorithm')
  })

  it('verifies what the issuer signs with ES256, RS256 and EdDSA', async () => {
    const own = await startIssuer()
    const each = createGuard({ issuer: own.issuer, audience })
    for (const algorithm of ['RS256', 'EdDSA', 'ES256'] as const) {
      const key = await own.addKey(algorithm)
      expect(importPublicJwk(own.keys.at(-1)).algorithms.length).toBeGreaterThan(0)
      const fresh = createGuard({ issuer: own.issuer, audience })
      expect(await reasonFor(key.token(), fresh), algorithm).toBe('accepted')
    }
    await each.close()
    await own.stop()
  })
})
