import { createHash, generateKeyPairSync } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import {
  createCaCertificate,
  createCertificateIssuer,
  newSerialNumber,
  parseCertificate,
  parsePemCertificates,
  toPem,
} from '@countersign/spiffe'
import { writePrivateFile } from '../private-file.ts'

/** By what the playground's node proves itself, so that it is the same node each time (x509pop). */
export interface NodeCertificate {
  readonly caFile: string
  readonly certificateFile: string
  readonly keyFile: string
  /** As the agent's SPIFFE ID ends */
  readonly fingerprint: string
}

const tenYears = 10 * 365 * 86_400

/** The certificate in the data directory, made at the first start. Its CA's key is kept nowhere. */
export async function openNodeCertificate(directory: string, trustDomain: string): Promise<NodeCertificate> {
  const caFile = join(directory, 'node-ca.pem')
  const certificateFile = join(directory, 'node.pem')
  const keyFile = join(directory, 'node.key')
  if (!existsSync(certificateFile)) {
    const made = makeCertificate(trustDomain)
    await writePrivateFile(caFile, made.ca, { replace: true })
    await writePrivateFile(keyFile, made.key, { replace: true })
    await writePrivateFile(certificateFile, made.certificate, { replace: true })
  }
  const [leaf] = parsePemCertificates(readFileSync(certificateFile, 'utf8'))
  // SPIRE names x509pop agents so.
  const fingerprint = createHash('sha1').update(leaf!.der).digest('hex')
  return { caFile, certificateFile, keyFile, fingerprint }
}

function makeCertificate(trustDomain: string): { ca: string; certificate: string; key: string } {
  const { privateKey: caKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const { privateKey: key, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const notBefore = Math.floor(Date.now() / 1000) - 60
  const life = { notBefore, notAfter: notBefore + tenYears }
  const ca = createCaCertificate({
    ...life,
    key: caKey,
    subject: { commonName: 'Countersign playground nodes' },
    trustDomain,
    serialNumber: newSerialNumber(),
  })
  const certificate = createCertificateIssuer({ key: caKey, certificate: parseCertificate(ca) }).issue({
    ...life,
    publicKeyDer: publicKey.export({ type: 'spki', format: 'der' }),
    serialNumber: newSerialNumber(),
    subject: { commonName: 'this machine' },
  })
  return { ca: toPem(ca), certificate: toPem(certificate), key: key.export({ type: 'pkcs8', format: 'pem' }) as string }
}
