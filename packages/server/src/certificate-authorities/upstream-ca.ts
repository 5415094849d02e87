import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { type Certificate, parsePemCertificates, verifyCertificateChain } from '@countersign/spiffe'
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
  if (certificate.pathLength === 0) {
    throw new CaUnavailable(`the CA in ${certFile} may have no CA below it (its path length is 0); use another one`)
  }
  const roots = bundleFile === undefined ? [certificate] : certificatesOf(bundleFile)
  if (bundleFile === undefined && !isSelfIssued(certificate)) {
    throw new CaUnavailable(`the CA in ${certFile} is not a root: name the file of its root as upstream_ca.bundle_file`)
  }
  const isRoot = (one: Certificate) => roots.some(({ der }) => der.equals(one.der))
  const chain = [certificate, ...above].filter((one) => !isRoot(one))
  if (chain.length > 0) checkChain(chain, roots, now, certFile, bundleFile ?? certFile)
  const expiresAt = Math.min(certificate.notAfter, ...chain.map(({ notAfter }) => notAfter))
  if (expiresAt <= now) throw new CaUnavailable(`the CA in ${certFile} has expired; put its successor there`)
  return { certificate, key, chain, roots, expiresAt }
}

function checkChain(
  chain: readonly Certificate[],
  roots: readonly Certificate[],
  now: number,
  certFile: string,
  bundleFile: string,
): void {
  try {
    verifyCertificateChain(chain, roots, now, { leafIsCa: true })
  } catch (error) {
    throw new CaUnavailable(
      `the CA in ${certFile} does not chain to the certificates in ${bundleFile}: ${(error as Error).message}`,
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
    const reason = (error as NodeJS.ErrnoException).code === 'ENOENT' ? 'there is no such file' : 'not a key, or encrypted'
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
