// Writes the vectors anew: node --conditions=source conformance/vectors/generate.ts. The private keys are not kept.
import { createHmac, createPublicKey, generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import type { Vector, VectorFile } from './vector-file.ts'

const issuer = 'https://auth.example.com/'
const audience = 'https://orders.example.com'
/** 2027-01-15T08:00:00Z. Times that decide are decades away, so that a library without a clock to set agrees. */
const now = 1_800_000_000
const decades = 1_500_000_000

const pairs = {
  ES256: pair('es-1', 'ES256', generateKeyPairSync('ec', { namedCurve: 'P-256' })),
  RS256: pair('rs-1', 'RS256', generateKeyPairSync('rsa', { modulusLength: 2048 })),
  EdDSA: pair('ed-1', 'EdDSA', generateKeyPairSync('ed25519')),
}
type Algorithm = keyof typeof pairs
const stranger = pair('es-1', 'ES256', generateKeyPairSync('ec', { namedCurve: 'P-256' }))
const jwks = { keys: Object.values(pairs).map(({ jwk }) => jwk) }

write('access-tokens.json', {
  description: 'Access tokens (RFC 9068) and what a verifier of this issuer and audience must say to them.',
  now,
  issuer,
  audience,
  algorithms: Object.keys(pairs),
  jwks,
  vectors: accessTokens(),
})
write('client-assertions.json', {
  description: 'Client assertions (RFC 7523, private_key_jwt) of client svc-a, as this issuer must judge them.',
  now,
  issuer: 'svc-a',
  audience: issuer,
  algorithms: Object.keys(pairs),
  jwks,
  vectors: clientAssertions(),
})

function accessTokens(): Vector[] {
  const claims = {
    iss: issuer,
    sub: 'svc-a',
    client_id: 'svc-a',
    aud: audience,
    scope: 'read:orders write:orders',
    iat: now - decades,
    exp: now + decades,
    jti: '5b1c2a04-7d0e-4a56-9a2f-0c6d6f5b1f11',
  }
  const header = { typ: 'at+jwt' }
  const es = (changed: object, changedHeader: object = {}) =>
    token('ES256', { ...header, ...changedHeader }, { ...claims, ...changed })
  const [head, body, signature] = es({}).split('.') as [string, string, string]
  const inDer = sign('sha256', Buffer.from(`${head}.${body}`), pairs.ES256.privateKey).toString('base64url')
  return [
    ...(Object.keys(pairs) as Algorithm[]).map((algorithm) => accept(algorithm, token(algorithm, header, claims))),
    accept('audience in an array', es({ aud: ['https://other.example.com', audience] })),
    accept('type as a full media type', es({}, { typ: 'application/at+jwt' })),
    accept('no scope', es({ scope: undefined })),
    accept('claims that nobody knows', es({ tenant: 'acme', 'https://example.com/x': { a: [1] } })),
    refuse('another issuer', 'wrong_issuer', es({ iss: 'https://evil.example.com/' })),
    refuse('the issuer without its slash', 'wrong_issuer', es({ iss: issuer.slice(0, -1) })),
    refuse('another audience', 'wrong_audience', es({ aud: 'https://other.example.com' })),
    refuse('an audience with one character more', 'wrong_audience', es({ aud: `${audience}/` })),
    refuse('no audience', 'wrong_audience', es({ aud: undefined })),
    refuse('expired', 'expired_token', es({ exp: now - decades + 60 })),
    refuse('not yet valid', 'token_not_yet_valid', es({ nbf: now + decades - 60 })),
    refuse('expiry as text', 'invalid_claim', es({ exp: String(now + decades) }), { appliesTo: ['rfc9068'] }),
    refuse('no expiry', 'invalid_claim', es({ exp: undefined })),
    refuse('no jti', 'invalid_claim', es({ jti: undefined }), { appliesTo: ['rfc9068'] }),
    refuse('no client_id', 'invalid_claim', es({ client_id: undefined }), { appliesTo: ['rfc9068'] }),
    refuse('an ID token', 'wrong_type', es({}, { typ: 'JWT' }), { appliesTo: ['rfc9068'] }),
    refuse('no type', 'wrong_type', es({}, { typ: undefined }), { appliesTo: ['rfc9068'] }),
    refuse('alg none', 'malformed_token', `${part({ ...header, alg: 'none', kid: 'es-1' })}.${body}.`),
    refuse('alg NoNe with a signature', 'unsupported_algorithm', es({}, { alg: 'NoNe' })),
    refuse('alg of another family', 'unsupported_algorithm', es({}, { alg: 'RS256' })),
    refuse('HS256 with the public key', 'unsupported_algorithm', withHmac(header, claims)),
    refuse('a key of another kid', 'unsupported_algorithm', es({}, { kid: 'rs-1' })),
    refuse('an unknown kid', 'unknown_key', es({}, { kid: 'es-2' })),
    refuse('signed with a stranger key', 'invalid_signature', signed(stranger, 'ES256', header, claims)),
    refuse('its own key in the header', 'invalid_signature', ownKey(header, claims)),
    refuse('an unknown critical header', 'malformed_token', es({}, { crit: ['x'], x: 1 })),
    refuse('altered claims', 'invalid_signature', [head, part({ ...claims, scope: 'admin' }), signature].join('.')),
    refuse('no signature', 'malformed_token', `${head}.${body}.`),
    refuse('a signature in DER', 'invalid_signature', `${head}.${body}.${inDer}`),
    refuse('a signature of zeros', 'invalid_signature', `${head}.${body}.${Buffer.alloc(64).toString('base64url')}`),
    refuse('padding', 'malformed_token', `${head}.${body}.${signature}==`, { appliesTo: ['rfc7515-section-2'] }),
    refuse('a part too many', 'malformed_token', `${head}.${body}.${signature}.${signature}`),
    refuse('a claim twice', 'malformed_token', twice(header, claims), { appliesTo: ['rfc9068'] }),
  ]
}

function clientAssertions(): Vector[] {
  const claims = { iss: 'svc-a', sub: 'svc-a', aud: issuer, iat: now, exp: now + 60, jti: 'f2b7' }
  const es = (changed: object, header: object = {}) => token('ES256', header, { ...claims, ...changed })
  return [
    ...(Object.keys(pairs) as Algorithm[]).map((algorithm) => accept(algorithm, token(algorithm, {}, claims))),
    accept('the type of its own', es({}, { typ: 'client-authentication+jwt' })),
    accept('the type JWT', es({}, { typ: 'JWT' })),
    accept('the audience as an array of one', es({ aud: [issuer] })),
    refuse('the token endpoint as audience', 'wrong_audience', es({ aud: `${issuer}oauth/token` })),
    refuse('the issuer without its slash', 'wrong_audience', es({ aud: issuer.slice(0, -1) })),
    refuse('a second audience', 'wrong_audience', es({ aud: [issuer, 'https://evil.example.com/'] }), {
      appliesTo: ['rfc7523bis'],
    }),
    refuse('another subject', 'invalid_claim', es({ sub: 'svc-b' })),
    refuse('another issuer', 'invalid_claim', es({ iss: 'svc-b' })),
    refuse('expired', 'expired_token', es({ iat: now - 120, exp: now - 60 })),
    refuse('not yet valid', 'token_not_yet_valid', es({ nbf: now + 120, exp: now + 180 })),
    refuse('good for a day', 'invalid_claim', es({ exp: now + 86_400 }), { appliesTo: ['rfc7523bis'] }),
    refuse('no jti', 'invalid_claim', es({ jti: undefined })),
    refuse('an access token', 'wrong_type', es({}, { typ: 'at+jwt' }), { appliesTo: ['rfc7523bis'] }),
    refuse('signed with a stranger key', 'invalid_signature', signed(stranger, 'ES256', {}, claims)),
    refuse('HS256 with the public key', 'unsupported_algorithm', withHmac({}, claims)),
  ]
}

function accept(name: string, text: string): Vector {
  return { name, token: text, accept: true }
}

function refuse(name: string, reason: Vector['reason'], text: string, more: Pick<Vector, 'appliesTo'> = {}): Vector {
  return { name, token: text, accept: false, reason, ...more }
}

interface Pair {
  privateKey: KeyObject
  jwk: { kid: string; [member: string]: unknown }
}

function pair(kid: string, alg: string, keys: { privateKey: KeyObject; publicKey: KeyObject }): Pair {
  return { privateKey: keys.privateKey, jwk: { ...keys.publicKey.export({ format: 'jwk' }), kid, alg, use: 'sig' } }
}

function token(algorithm: Algorithm, header: object, claims: object): string {
  return signed(pairs[algorithm], algorithm, header, claims)
}

function signed({ privateKey, jwk }: Pair, alg: Algorithm, header: object, claims: object | string): string {
  const body = typeof claims === 'string' ? Buffer.from(claims).toString('base64url') : part(claims)
  const input = `${part({ alg, kid: jwk.kid, ...header })}.${body}`
  const hash = alg === 'EdDSA' ? null : 'sha256'
  const bytes = sign(hash, Buffer.from(input), { key: privateKey, dsaEncoding: 'ieee-p1363' })
  return `${input}.${bytes.toString('base64url')}`
}

/** CVE-2016-5431 and its many descendants: the public key, which everybody has, as the HMAC secret. */
function withHmac(header: object, claims: object): string {
  const input = `${part({ ...header, alg: 'HS256', kid: 'rs-1' })}.${part(claims)}`
  const secret = createPublicKey(pairs.RS256.privateKey).export({ type: 'spki', format: 'pem' })
  return `${input}.${createHmac('sha256', secret).update(input).digest('base64url')}`
}

function ownKey(header: object, claims: object): string {
  return signed(stranger, 'ES256', { ...header, jwk: stranger.jwk, jku: 'https://evil.example.com/jwks' }, claims)
}

function twice(header: object, claims: object): string {
  return signed(pairs.ES256, 'ES256', header, `{"scope":"admin",${JSON.stringify(claims).slice(1)}`)
}

function part(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url')
}

function write(name: string, file: VectorFile): void {
  writeFileSync(new URL(name, import.meta.url), `${JSON.stringify(file, null, 2)}\n`)
}
