import { calculateJwkThumbprint, compactVerify, exportJWK, generateKeyPair, importJWK, jwtVerify, SignJWT } from 'jose'
import { describe, expect, it } from 'vitest'
import type { VerificationAlgorithm } from '../algorithms.ts'
import { generateSigningKey } from '../keys/generate-key.ts'
import { importPrivateJwk } from '../keys/private-key.ts'
import { importPublicJwk } from '../keys/public-jwk.ts'
import { jwkThumbprint } from '../keys/thumbprint.ts'
import { checkAccessTokenClaims } from '../oauth/access-token.ts'
import { parseJwt } from './parse-jwt.ts'
import { createSigner } from './signer.ts'
import { verifySignature } from './verify-signature.ts'

const now = Math.floor(Date.now() / 1000)
const claims = {
  ...{ iss: 'https://auth.example.com/', sub: 'svc-a', client_id: 'svc-a', aud: 'https://api.example.com' },
  ...{ iat: now, exp: now + 60, jti: 'one', scope: 'read:orders' },
}
const rules = { issuer: claims.iss, audiences: [claims.aud] }

describe('jose, another implementation', () => {
  it.each(['ES256', 'RS256', 'EdDSA'] as const)('verifies our %s tokens and has our thumbprint', async (algorithm) => {
    const { kid, privateKey, publicJwk } = await generateSigningKey(algorithm)
    const token = createSigner({ algorithm, kid, key: privateKey, type: 'at+jwt' }).sign(claims)
    const options = { issuer: rules.issuer, audience: claims.aud, typ: 'at+jwt', algorithms: [algorithm] }
    const { payload, protectedHeader } = await jwtVerify(token, await importJWK(publicJwk), options)
    expect(payload).toEqual(claims)
    expect(protectedHeader).toEqual({ alg: algorithm, typ: 'at+jwt', kid })
    expect(await calculateJwkThumbprint(publicJwk)).toBe(kid)
  })

  const algorithms = [
    'ES256',
    'ES384',
    'ES512',
    'RS256',
    'RS384',
    'RS512',
    'PS256',
    'PS384',
    'PS512',
    'EdDSA',
    'Ed25519',
  ]

  it.each(algorithms as VerificationAlgorithm[])('signs %s tokens that we verify', async (alg) => {
    const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true })
    const token = await new SignJWT(claims).setProtectedHeader({ alg, typ: 'at+jwt' }).sign(privateKey)
    const jwk = await exportJWK(publicKey)
    const parsed = parseJwt(token)
    verifySignature(parsed, importPublicJwk({ ...jwk, alg, use: 'sig' }), [alg])
    expect(checkAccessTokenClaims(parsed, rules, now)).toEqual(claims)
    expect(await calculateJwkThumbprint(jwk)).toBe(jwkThumbprint(jwk as { kty: string }))
  })

  it('makes private keys that we sign with', async () => {
    const { privateKey, publicKey } = await generateKeyPair('ES256', { extractable: true })
    const { key } = importPrivateJwk(await exportJWK(privateKey))
    const token = createSigner({ algorithm: 'ES256', key }).sign('{"a":1}')
    expect(Buffer.from((await compactVerify(token, publicKey)).payload).toString()).toBe('{"a":1}')
  })
})
