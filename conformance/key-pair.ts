import { type CryptoKey, calculateJwkThumbprint, exportJWK, generateKeyPair, type JWK } from 'jose'

/** A pair that jose makes, so that nothing of ours has touched it. */
export async function signingKeyPair(algorithm: string): Promise<{
  privateKey: CryptoKey
  privateJwk: JWK & { kid: string }
  publicJwk: JWK & { kid: string }
}> {
  const { privateKey, publicKey } = await generateKeyPair(algorithm, { extractable: true })
  const jwk = await exportJWK(publicKey)
  const kid = await calculateJwkThumbprint(jwk)
  const publicJwk = { ...jwk, kid, alg: algorithm, use: 'sig' }
  return { privateKey, privateJwk: { ...(await exportJWK(privateKey)), kid, alg: algorithm }, publicJwk }
}
