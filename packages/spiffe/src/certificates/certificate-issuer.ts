import { createPublicKey, type KeyObject } from 'node:crypto'
import { SpiffeError } from '../spiffe-error.ts'
import type { Certificate } from './certificate.ts'
import { type Subject, writeSubject } from './distinguished-name.ts'
import { checkNames } from './requested-names.ts'
import { signCertificate } from './sign-certificate.ts'
import { signingWith } from './signature-algorithm.ts'
import {
  alternativeNames,
  authorityKeyIdentifier,
  basicConstraints,
  extendedKeyUsage,
  keyUsage,
  subjectKeyIdentifier,
} from './write-extensions.ts'

export interface CertificateIssuer {
  readonly certificate: Certificate
  /** The intermediates that leaves are sent with: the own certificate first; empty for a root */
  readonly chain: readonly Certificate[]
  /** Signs a leaf and gives its DER. Throws `invalid_configuration` and `invalid_spiffe_id` for what none may have. */
  issue(leaf: LeafTemplate): Buffer
}

export interface LeafTemplate {
  /** SubjectPublicKeyInfo of a key that was checked, as `parseCertificateRequest` gives it */
  readonly publicKeyDer: Uint8Array
  /** 1 to 20 bytes, the first below 0x80, not all zero */
  readonly serialNumber: Uint8Array
  /** Seconds since the epoch; not beyond the issuer's own end */
  readonly notBefore: number
  readonly notAfter: number
  /** SPIFFE IDs */
  readonly uris?: readonly string[]
  readonly dnsNames?: readonly string[]
  readonly ipAddresses?: readonly string[]
  readonly subject?: Subject
  /** Both unless given */
  readonly extendedKeyUsage?: readonly ('server' | 'client')[]
}

/**
 * Signs leaf certificates with a CA's key. `chain` is what lies between the CA and its root, the CA's own certificate
 * first. Throws `invalid_configuration` where the key is not the certificate's, or the certificate no CA.
 */
export function createCertificateIssuer({
  key,
  certificate,
  chain = [],
}: {
  key: KeyObject
  certificate: Certificate
  chain?: readonly Certificate[]
}): CertificateIssuer {
  checkAuthority(key, certificate)
  const signing = signingWith(key)
  // The same in every leaf, so it is written once.
  const leafConstraints = [keyUsage('digitalSignature'), basicConstraints(false)]
  const issuerKey = authorityKeyIdentifier(certificate)
  const bothUsages = extendedKeyUsage(['server', 'client'])
  return {
    certificate,
    chain,
    issue(leaf) {
      if (leaf.notAfter > certificate.notAfter) throw invalid('the certificate would outlive the CA that signs it')
      const { uris, dnsNames, ipAddresses } = checkNames(leaf)
      const subjectDer = writeSubject(leaf.subject ?? {})
      const usages = leaf.extendedKeyUsage
      const extensions = [
        ...leafConstraints,
        usages === undefined ? bothUsages : extendedKeyUsage(usages),
        subjectKeyIdentifier(leaf.publicKeyDer),
        issuerKey,
        ...alternativeNames({ uris, dnsNames, ipAddresses }, isEmpty(subjectDer)),
      ]
      const { publicKeyDer, serialNumber, notBefore, notAfter } = leaf
      const issuerDer = certificate.subjectDer
      return signCertificate(
        { serialNumber, issuerDer, notBefore, notAfter, subjectDer, publicKeyDer, extensions },
        signing,
      )
    },
  }
}

function isEmpty(subjectDer: Buffer): boolean {
  return subjectDer.length === 2
}

function checkAuthority(key: KeyObject, certificate: Certificate): void {
  if (!certificate.isCa || certificate.keyUsage?.has('keyCertSign') === false) {
    throw invalid('the certificate is not that of a CA: it may not sign others')
  }
  if (key.type !== 'private' || !createPublicKey(key).equals(certificate.publicKey)) {
    throw invalid("the private key is not that of the CA's certificate")
  }
}

function invalid(message: string): SpiffeError {
  return new SpiffeError('invalid_configuration', message)
}
