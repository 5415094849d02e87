import { constants, type KeyObject, verify } from 'node:crypto'
import { z } from 'zod'
import { AttestationError } from '../node-attestor.ts'
import { base64, readAttestation } from './attestation-json.ts'

/** One question whose answer only the holder of the private key can give, as SPIRE's agents know it. */
export interface PossessionChallenge {
  readonly message: {
    readonly rsa_signature: { readonly nonce: string } | null
    readonly ecdsa_signature: { readonly nonce: string } | null
  }
  readonly publicKey: KeyObject
  readonly nonce: Buffer
}

const nonceBytes = 32
/** Of P-521 and of RSA 16384 */
const longestNumber = 66
const longestSignature = 2048

const nonce = base64(nonceBytes).refine((bytes) => bytes.length === nonceBytes)
const answer = z.object({
  rsa_signature: z.object({ nonce, signature: base64(longestSignature) }).nullish(),
  ecdsa_signature: z.object({ nonce, r: base64(longestNumber), s: base64(longestNumber) }).nullish(),
})

/** @returns undefined for a kind of key that there is no question for */
export function possessionChallenge(publicKey: KeyObject, nonce: Buffer): PossessionChallenge | undefined {
  const asked = { nonce: nonce.toString('base64') }
  switch (publicKey.asymmetricKeyType) {
    case 'rsa':
      return { message: { rsa_signature: asked, ecdsa_signature: null }, publicKey, nonce }
    case 'ec':
      return { message: { rsa_signature: null, ecdsa_signature: asked }, publicKey, nonce }
    default:
      return undefined
  }
}

/**
 * Whether the answer is signed over both nonces, in the way that was asked for; the other one does not count.
 * @throws AttestationError `invalid`
 */
export function provesPossession({ publicKey, nonce, message }: PossessionChallenge, bytes: Buffer): boolean {
  const { rsa_signature: rsa, ecdsa_signature: ecdsa } = readAttestation(bytes, answer)
  if (message.rsa_signature !== null) {
    if (!rsa) throw new AttestationError('invalid', 'the answer to the challenge has no rsa_signature')
    const padding = constants.RSA_PKCS1_PSS_PADDING
    const key = { key: publicKey, padding, saltLength: constants.RSA_PSS_SALTLEN_AUTO }
    return verify('sha256', Buffer.concat([nonce, rsa.nonce]), key, rsa.signature)
  }
  if (!ecdsa) throw new AttestationError('invalid', 'the answer to the challenge has no ecdsa_signature')
  const signature = fixedWidth(ecdsa, publicKey)
  if (!signature) return false
  return verify('sha256', Buffer.concat([nonce, ecdsa.nonce]), { key: publicKey, dsaEncoding: 'ieee-p1363' }, signature)
}

const widths: Readonly<Record<string, number>> = { prime256v1: 32, secp384r1: 48, secp521r1: 66 }

/** r and s come as numbers without leading zeros; node takes both at the width of the curve. */
function fixedWidth({ r, s }: { r: Buffer; s: Buffer }, publicKey: KeyObject): Buffer | undefined {
  const width = widths[publicKey.asymmetricKeyDetails?.namedCurve ?? '']
  if (width === undefined || r.length > width || s.length > width) return undefined
  const signature = Buffer.alloc(2 * width)
  r.copy(signature, width - r.length)
  s.copy(signature, 2 * width - s.length)
  return signature
}
