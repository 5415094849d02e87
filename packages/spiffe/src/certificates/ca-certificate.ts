import { createPublicKey, type KeyObject } from 'node:crypto'
import { parseTrustDomain } from '../ids/spiffe-id.ts'
import { SpiffeError } from '../spiffe-error.ts'
import type { Certificate } from './certificate.ts'
import { type Subject, writeSubject } from './distinguished-name.ts'
import { signCertificate } from './sign-certificate.ts'
import { signingWith } from './signature-algorithm.ts'
import {
  alternativeNames,
  authorityKeyIdentifier,
  basicConstraints,
  keyUsage,
  subjectKeyIdentifier,
} from './write-extensions.ts'

export interface CaCertificateOptions {
  /** The new CA's private key; under an issuer its public key is enough */
  readonly key: KeyObject
  /** Whose intermediate it becomes; itself, as a root, unless given */
  readonly issuer?: { readonly key: KeyObject; readonly certificate: Certificate }
  readonly subject: Subject
  readonly trustDomain: string
  /** 1 to 20 bytes, the first below 0x80, not all zero */
  readonly serialNumber: Uint8Array
  /** Seconds since the epoch */
  readonly notBefore: number
  readonly notAfter: number
  /** How many CAs may stand between it and a leaf; any number unless given */
  readonly pathLength?: number
}

/**
 * The certificate of a CA that signs SVIDs of a trust domain, as DER (X509-SVID section 3.2): a self-signed root, or an
 * intermediate. Its SPIFFE ID is the trust domain's. Throws `invalid_configuration`, and `invalid_spiffe_id`.
 */
export function createCaCertificate(options: CaCertificateOptions): Buffer {
  const { key, issuer, subject, serialNumber, notBefore, notAfter, pathLength } = options
  const subjectDer = writeSubject(subject)
  // RFC 5280 section 4.1.2.6: leaves name their issuer by it.
  if (subjectDer.length === 2) throw invalid('a CA has a subject that is not empty')
  if (issuer !== undefined && notAfter > issuer.certificate.notAfter) {
    throw invalid('the CA would outlive the CA that signs it')
  }
  const publicKeyDer = asPublic(key).export({ format: 'der', type: 'spki' })
  const extensions = [
    basicConstraints(true, pathLength),
    keyUsage('keyCertSign', 'crlSign'),
    subjectKeyIdentifier(publicKeyDer),
    authorityKeyIdentifier(issuer?.certificate ?? { publicKeyDer }),
    ...alternativeNames({ uris: [`spiffe://${parseTrustDomain(options.trustDomain)}`] }, false),
  ]
  const issuerDer = issuer?.certificate.subjectDer ?? subjectDer
  const body = { serialNumber, issuerDer, notBefore, notAfter, subjectDer, publicKeyDer, extensions }
  return signCertificate(body, signingWith(issuer?.key ?? key))
}

function asPublic(key: KeyObject): KeyObject {
  return key.type === 'private' ? createPublicKey(key) : key
}

function invalid(message: string): SpiffeError {
  return new SpiffeError('invalid_configuration', message)
}
