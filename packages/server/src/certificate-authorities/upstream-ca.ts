import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto'
import { readFileSync } from 'node:fs'
import {
  type Certificate,
  createCertificateIssuer,
  parsePemCertificates,
  parseX509Svid,
  verifyCertificateChain,
} from '@countersign/spiffe'
import { CaUnavailable } from './ca-unavailable.ts'

export interface UpstreamFiles {
  /** PEM: the CA that signs ours, then what is between it and its root */
  certFile: string
  keyFile: string
  /** PEM: what others must trust; by default the CA itself, which must be a root then */
  bundleFile?: string | undefined
}

/** A CA of somebody else's making, under which ours are intermediates. */
export interface UpstreamCa {
  certificate: Certificate
  key: KeyObject
  /** What is sent after our own CA: empty where the upstream CA is the root */
  chain: readonly Certificate[]
  roots: readonly Certificate[]
  /** The first of the whole chain to expire */
  expiresAt: number
}

/**
 * Reads the files anew each time, so that a renewed upstream CA needs no restart.
 * @throws CaUnavailable with a sentence that names the file
 */
export function readUpstreamCa({ certFile, keyFile, bundleFile }: UpstreamFiles, now: number): UpstreamCa {
  const [certificate, ...above] = certificatesOf(certFile)
  if (!certificate) throw new CaUnavailable(`${certFile} holds no certificate in PEM`)
  const key = privateKeyOf(keyFile)
  if (!certificate.publicKeyDer.equals(createPublicKey(key).export({ format: 'der', type: 'spki' }))) {
    throw new CaUnavailable(`the key in ${keyFile} does not belong to the first certificate in ${certFile}`)
  }
  if (!certificate.isCa) throw new CaUnavailable(`the certificate in ${certFile} is not that of a CA`)
  const roots = bundleFile === undefined ? [certificate] : certificatesOf(bundleFile)
  if (bundleFile === undefined && !isSelfIssued(certificate)) {
    throw new CaUnavailable(`the CA in ${certFile} is not a root: name the file of its root as upstream_ca.bundle_file`)
  }
  const isRoot = (one: Certificate) => roots.some(({ der }) => der.equals(one.der))
  const chain = [certificate, ...above].filter((one) => !isRoot(one))
  const expiresAt = Math.min(certificate.notAfter, ...chain.map(({ notAfter }) => notAfter))
  if (expiresAt <= now) throw new CaUnavailable(`the CA in ${certFile} has expired; put its successor there`)
  return { certificate, key, chain, roots, expiresAt }
}

/**
 * Tries a new intermediate as everybody else will: whether a leaf under it is trusted. That finds path lengths, name
 * constraints, missing intermediates and those without the key usage of a CA before anything depends on them.
 * @throws CaUnavailable
 */
export function checkUnderUpstream(
  { key, certificate }: { key: KeyObject; certificate: Certificate },
  { chain, roots }: UpstreamCa,
  { trustDomain, now }: { trustDomain: string; now: number },
): void {
  const probe = createCertificateIssuer({ key, certificate }).issue({
    publicKeyDer: certificate.publicKeyDer,
    serialNumber: Buffer.from([1]),
    notBefore: now,
    notAfter: certificate.notAfter,
    uris: [`spiffe://${trustDomain}/probe`],
  })
  try {
    const sent = Buffer.concat([probe, ...[certificate, ...chain].map(({ der }) => der)])
    const svid = parseX509Svid(sent, key.export({ format: 'der', type: 'pkcs8' }))
    verifyCertificateChain(svid.certificates, roots, now)
  } catch (error) {
    throw new CaUnavailable(
      `nothing under the CA of spiffe.upstream_ca would be trusted: ${(error as Error).message}; put a CA there that may sign CAs for this trust domain, the CAs between it and its root after it, and the root in bundle_file`,
      { cause: error },
    )
  }
}

function certificatesOf(file: string): Certificate[] {
  try {
    return parsePemCertificates(readFileSync(file, 'utf8'))
  } catch (error) {
    throw new CaUnavailable(`${file} cannot be read as certificates in PEM: ${reasonOf(error)}`, { cause: error })
  }
}

function privateKeyOf(file: string): KeyObject {
  try {
    return createPrivateKey(readFileSync(file))
  } catch (error) {
    const reason =
      (error as NodeJS.ErrnoException).code === 'ENOENT' ? 'there is no such file' : 'not a key, or encrypted'
    // Not the cause: what a parser says may quote what it parsed.
    throw new CaUnavailable(`${file} cannot be read as an unencrypted private key in PEM: ${reason}`)
  }
}

function reasonOf(error: unknown): string {
  return (error as NodeJS.ErrnoException).code === 'ENOENT' ? 'there is no such file' : (error as Error).message
}

function isSelfIssued({ subjectDer, issuerDer }: Certificate): boolean {
  return subjectDer.equals(issuerDer)
}
