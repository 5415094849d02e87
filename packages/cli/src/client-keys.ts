import { createPublicKey } from 'node:crypto'
import { generateSigningKey, importPublicJwk, type PublicJwk, type SigningAlgorithm } from '@countersign/tokens'
import { wrongUse } from './cli-error.ts'
import { writePrivateFile } from './private-file.ts'
import { readText } from './read-text.ts'

/** The public key in a file, as JWK or PEM, checked here first, so that a private one never leaves this machine. */
export async function readPublicJwk(file: string): Promise<PublicJwk> {
  const text = await readText(file, 'a public key')
  if (text.includes('PRIVATE KEY'))
    throw wrongUse(`${file} is a private key; give its public half, made with: openssl pkey -in ${file} -pubout`)
  const jwk = text.trimStart().startsWith('{') ? parseJwk(text, file) : pemToJwk(text, file)
  try {
    return importPublicJwk(jwk).jwk
  } catch (error) {
    throw wrongUse(`${file}: ${(error as Error).message}`)
  }
}

/** Makes a pair, keeps the private half in `file` (mode 0600, never overwritten), and returns the public one. */
export async function writeKeyPair(file: string, algorithm: SigningAlgorithm): Promise<PublicJwk> {
  const { privateKey, publicJwk } = await generateSigningKey(algorithm)
  const text = file.endsWith('.pem')
    ? (privateKey.export({ format: 'pem', type: 'pkcs8' }) as string)
    : `${JSON.stringify({ ...privateKey.export({ format: 'jwk' }), kid: publicJwk.kid, alg: algorithm, use: 'sig' }, null, 2)}\n`
  await writePrivateFile(file, text, { replace: false })
  return publicJwk
}

function parseJwk(text: string, file: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw wrongUse(`${file} is not valid JSON; it should hold a public key as a JWK or PEM`)
  }
}

function pemToJwk(text: string, file: string): unknown {
  try {
    return createPublicKey(text).export({ format: 'jwk' })
  } catch {
    throw wrongUse(`${file} holds no key that can be read; give a public key as a JWK or PEM`)
  }
}
