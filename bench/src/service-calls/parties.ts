import { generateKeyPairSync, sign, verify } from 'node:crypto'
import { createServiceSigner, type ServiceSigner } from '@countersign/client'
import { createServiceTokenVerifier, type ServiceTokenVerifier } from '@countersign/guard'
import { createMemorySingleUse } from '@countersign/limits'
import { httpBinding, importPublicJwk } from '@countersign/tokens'
import { bestOfEach, microsecondsOfOne } from './added-cost.ts'

export const receiver = 'inventory-service'

export interface Parties {
  signer: ServiceSigner
  verifier: ServiceTokenVerifier
  /** What one raw Ed25519 signature and its verification cost here, in microseconds: less cannot be added. */
  rawMicroseconds: number
}

/** The order service, which calls, and what checks its calls at the inventory service. */
export async function createParties(): Promise<Parties> {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519')
  const secretKey = privateKey.export({ type: 'pkcs8', format: 'pem' }) as string
  const key = importPublicJwk(publicKey.export({ format: 'jwk' }))
  const signer = createServiceSigner({ name: 'order', secretKey })
  const keys = { keyFor: () => key }
  const verifier = createServiceTokenVerifier({ name: receiver, keys, uses: createMemorySingleUse() })
  const binding = httpBinding({ method: 'POST', target: '/', content: new Uint8Array() })
  const token = signer.sign({ audience: receiver, binding })
  const input = Buffer.from(token.slice(0, token.lastIndexOf('.')))
  const signAndVerify = () => verify(null, input, key.key, sign(null, input, privateKey))
  const { raw } = await bestOfEach({ raw: () => microsecondsOfOne(200, signAndVerify) })
  return { signer, verifier, rawMicroseconds: raw }
}

/** A request of about 300 bytes, as they are. */
export const message = { productId: 'p-1', quantity: 3, note: 'x'.repeat(256) }
