import { generateSigningKey, type PublicJwk } from '@countersign/tokens'
import { writePrivateFile } from './private-file.ts'

/** @param file where the private half is kept (mode 0600, never overwritten) */
export async function makeServiceKey(file?: string): Promise<{ secretKey: string; jwk: PublicJwk }> {
  const { privateKey, publicJwk } = await generateSigningKey('EdDSA')
  const secretKey = privateKey.export({ format: 'pem', type: 'pkcs8' }) as string
  if (file !== undefined) await writePrivateFile(file, secretKey, { replace: false })
  return { secretKey, jwk: publicJwk }
}
