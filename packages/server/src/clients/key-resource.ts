import {
  type Certificate,
  certificateThumbprint,
  parseCertificate,
  parsePemCertificates,
  SpiffeError,
} from '@countersign/spiffe'
import { jwkThumbprint, type PublicJwk, type VerificationKey } from '@countersign/tokens'
import { z } from 'zod'
import { exactly, isOneLine, line, time, toTime, toTimeOrNull } from '../admin/fields.ts'
import { givenJwk, readPublicKey } from '../admin/public-key.ts'
import { invalid } from '../admin/request-validation.ts'
import type { ClientKeyRow } from '../storage/tables.ts'

export const newKey = exactly({
  jwk: givenJwk.optional(),
  certificate: z.string().max(65_536).optional().meta({
    description: 'PEM, instead of `jwk`: the very certificate of self_signed_tls_client_auth',
  }),
  label: line(100).optional(),
}).refine((key) => (key.jwk === undefined) !== (key.certificate === undefined), {
  error: 'needs either jwk or certificate',
})

export const clientKey = z.object({
  id: z.string(),
  client_id: z.string(),
  kid: z.string(),
  algorithm: z.string(),
  jwk: z
    .record(z.string(), z.union([z.string(), z.array(z.string())]))
    .meta({ description: 'With `x5c` where it is of a certificate' }),
  label: z.string().nullable(),
  created_at: time,
  last_used_at: time.nullable(),
})

export const kidPattern = /^[\x21-\x7e]{1,128}$/

export interface CheckedKey {
  kid: string
  /** RFC 7638 */
  thumbprint: string
  /** Only what is needed, with `kid`, `use`, and the one algorithm that it may be used with */
  jwk: PublicJwk
  /** Base64 of DER */
  certificate?: string
}

/**
 * What a client may register: a public key, strong enough, for one algorithm. RSA without `alg` is for RS256, so that
 * no key is ever accepted under two schemes.
 * @throws Problem `invalid_key`, `weak_key`, `invalid`
 */
export function checkKey(jwk: Record<string, unknown>): CheckedKey {
  const { x5c, ...bare } = jwk
  const checked = checkPublicKey(bare)
  if (x5c === undefined) return checked
  const text = Array.isArray(x5c) ? x5c[0] : undefined
  const der = typeof text === 'string' && text.length < 65_536 ? Buffer.from(text, 'base64') : undefined
  if (der === undefined || der.toString('base64') !== text) {
    throw invalid([
      { path: 'jwk.x5c', message: 'must be an array that begins with a certificate in base64 (RFC 7517 section 4.7)' },
    ])
  }
  const certificate = readCertificate(() => parseCertificate(der), 'jwk.x5c')
  if (jwkThumbprint(certificate.publicKey.export({ format: 'jwk' }) as PublicJwk) !== checked.thumbprint) {
    throw invalid([{ path: 'jwk.x5c', message: 'is the certificate of another key' }])
  }
  return { ...checked, certificate: text as string }
}

/**
 * The key of a certificate (RFC 8705 section 2.2), known by the certificate's own thumbprint.
 * @throws Problem `invalid_key`, `weak_key`, `invalid`
 */
export function checkKeyCertificate(pem: string): CheckedKey {
  const certificate = readCertificate(() => {
    const [only, ...others] = parsePemCertificates(pem)
    if (only === undefined || others.length > 0)
      throw new SpiffeError('invalid_certificate', 'give one certificate alone')
    return only
  }, 'certificate')
  const jwk = certificate.publicKey.export({ format: 'jwk' }) as Record<string, unknown>
  const checked = checkPublicKey({ ...jwk, kid: certificateThumbprint(certificate.der) })
  return { ...checked, certificate: certificate.der.toString('base64') }
}

function readCertificate(read: () => Certificate, path: string): Certificate {
  try {
    return read()
  } catch (error) {
    if (!(error instanceof SpiffeError)) throw error
    throw invalid([{ path, message: isOneLine(error.message) ? error.message : 'the certificate cannot be read' }])
  }
}

function checkPublicKey(jwk: Record<string, unknown>): CheckedKey {
  const key = readPublicKey(jwk, 'jwk')
  const thumbprint = jwkThumbprint(key.jwk)
  const kid = key.kid ?? thumbprint
  if (!kidPattern.test(kid)) {
    throw invalid([{ path: 'jwk.kid', message: 'must be 1 to 128 visible ASCII characters, without spaces' }])
  }
  return { kid, thumbprint, jwk: { ...key.jwk, kid, use: 'sig', ...algorithmOf(key) } }
}

export function viewKey(row: ClientKeyRow): z.infer<typeof clientKey> {
  const jwk: Record<string, string> = JSON.parse(row.jwk)
  return {
    id: row.id,
    client_id: row.client_id,
    kid: row.kid,
    algorithm: jwk.alg ?? 'EdDSA',
    jwk: row.certificate === null ? jwk : { ...jwk, x5c: [row.certificate] },
    label: row.label,
    created_at: toTime(row.created_at),
    last_used_at: toTimeOrNull(row.last_used_at),
  }
}

/** EdDSA and Ed25519 are two names of one algorithm (RFC 9864): a key without `alg` answers to both. */
function algorithmOf({ jwk, algorithms }: VerificationKey): { alg?: string } {
  if (jwk.kty === 'OKP' && jwk.alg === undefined) return {}
  return { alg: jwk.alg ?? (algorithms[0] as string) }
}
