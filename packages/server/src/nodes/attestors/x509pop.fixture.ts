import { execFileSync } from 'node:child_process'
import { constants, createPrivateKey, type KeyObject, randomBytes, sign } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Certificate, parsePemCertificates } from '@countersign/spiffe'

export interface MadeCertificate {
  certificate: Certificate
  pem: string
  keyPem: string
  key: KeyObject
}

export interface CertificateWish {
  subject: string
  /** Who signs it; itself unless given */
  issuer?: MadeCertificate
  /** `ec:P-256`, `ec:P-384`, `rsa:2048`, `ed25519` */
  algorithm?: string
  days?: number
  /** Lines of an OpenSSL extension section */
  extensions?: string[]
}

const caExtensions = ['basicConstraints=critical,CA:true', 'keyUsage=critical,keyCertSign,cRLSign']
export const leafExtensions = ['basicConstraints=critical,CA:false', 'keyUsage=critical,digitalSignature']

/** Certificates made by OpenSSL, so that ours are not only held against ourselves. */
export function makeCertificate({
  subject,
  issuer,
  algorithm = 'ec:P-256',
  days = 30,
  extensions = leafExtensions,
}: CertificateWish): MadeCertificate {
  const folder = mkdtempSync(join(tmpdir(), 'countersign-x509pop-'))
  const path = (name: string) => join(folder, name)
  const openssl = (...args: string[]) => execFileSync('openssl', args, { stdio: ['ignore', 'pipe', 'pipe'] })
  try {
    const [kind, detail] = algorithm.split(':')
    const keyOptions: Record<string, string[]> = {
      ec: ['EC', '-pkeyopt', `ec_paramgen_curve:${detail}`],
      rsa: ['RSA', '-pkeyopt', `rsa_keygen_bits:${detail}`],
      ed25519: ['ED25519'],
    }
    openssl('genpkey', '-algorithm', ...(keyOptions[kind as string] as string[]), '-out', path('key.pem'))
    writeFileSync(path('extensions.cnf'), ['[made]', ...extensions].join('\n'))
    openssl('req', '-new', '-key', path('key.pem'), '-subj', subject, '-out', path('request.pem'))
    const signing = ['-days', String(days), '-extfile', path('extensions.cnf'), '-extensions', 'made']
    if (issuer) {
      writeFileSync(path('ca.pem'), issuer.pem)
      writeFileSync(path('ca-key.pem'), issuer.keyPem)
      signing.push('-CA', path('ca.pem'), '-CAkey', path('ca-key.pem'), '-CAcreateserial')
    } else signing.push('-signkey', path('key.pem'))
    openssl('x509', '-req', '-in', path('request.pem'), '-out', path('certificate.pem'), ...signing)
    const pem = readFileSync(path('certificate.pem'), 'utf8')
    const keyPem = readFileSync(path('key.pem'), 'utf8')
    const [certificate] = parsePemCertificates(pem)
    return { certificate: certificate as Certificate, pem, keyPem, key: createPrivateKey(keyPem) }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

export function makeCa(wish: Omit<CertificateWish, 'extensions'> & { extensions?: string[] }): MadeCertificate {
  return makeCertificate({ extensions: caExtensions, ...wish })
}

/** What an agent sends first. */
export function presented(...chain: MadeCertificate[]): Buffer {
  const certificates = chain.map(({ certificate }) => certificate.der.toString('base64'))
  return Buffer.from(JSON.stringify({ certificates }))
}

/** What an agent with this key answers. */
export function answering(key: KeyObject, change: (answer: Answer) => unknown = (answer) => answer) {
  return async (challenge: Buffer): Promise<Buffer> => {
    const asked = JSON.parse(challenge.toString())
    const nonce = randomBytes(32)
    const theirs = Buffer.from((asked.rsa_signature ?? asked.ecdsa_signature).nonce, 'base64')
    const message = Buffer.concat([theirs, nonce])
    const answer: Answer = { rsa_signature: null, ecdsa_signature: null }
    if (asked.rsa_signature) {
      const padding = { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_MAX_SIGN }
      const signature = sign('sha256', message, { key, ...padding }).toString('base64')
      answer.rsa_signature = { nonce: nonce.toString('base64'), signature }
    } else {
      const signature = sign('sha256', message, { key, dsaEncoding: 'ieee-p1363' })
      const half = signature.length / 2
      answer.ecdsa_signature = {
        nonce: nonce.toString('base64'),
        r: asNumber(signature.subarray(0, half)),
        s: asNumber(signature.subarray(half)),
      }
    }
    return Buffer.from(JSON.stringify(change(answer)))
  }
}

interface Answer {
  rsa_signature: { nonce: string; signature: string } | null
  ecdsa_signature: { nonce: string; r: string; s: string } | null
}

/** Go writes numbers without leading zeros. */
function asNumber(bytes: Buffer): string {
  const start = bytes.findIndex((byte) => byte !== 0)
  return bytes.subarray(start).toString('base64')
}
