import { createHash, randomBytes } from 'node:crypto'
import {
  agentId,
  type Certificate,
  parseCertificate,
  readDistinguishedName,
  SpiffeError,
  verifyCertificateChain,
} from '@countersign/spiffe'
import { z } from 'zod'
import type { Selector } from '../../registration-entries/registration-entry.ts'
import { AttestationError, type NodeAttestor } from '../node-attestor.ts'
import { base64, readAttestation } from './attestation-json.ts'
import { type PossessionChallenge, possessionChallenge, provesPossession } from './possession.ts'

export interface X509popAttestorOptions {
  trustDomain: string
  /** Whose certificates may join */
  authorities: () => readonly Certificate[]
  /** Seconds since the epoch */
  now: () => number
}

const mostCertificates = 10

const attestationData = z.object({
  certificates: z
    .array(base64(64 * 1024))
    .min(1)
    .max(mostCertificates),
})

/** The agent has a certificate of a CA that was named, and the private key to it. */
export function x509popAttestor({ trustDomain, authorities, now }: X509popAttestorOptions): NodeAttestor {
  return {
    type: 'x509pop',
    async attest(payload, challenge) {
      const { certificates } = readAttestation(payload, attestationData)
      const chain = certificates.map(readCertificate)
      const [leaf] = chain as [Certificate, ...Certificate[]]
      const issuers = verifiedIssuers(chain, authorities(), now())
      await proveKey(leaf, challenge)
      return {
        id: agentId(trustDomain, `x509pop/${fingerprint(leaf)}`).toString(),
        selectors: selectorsOf(leaf, issuers, trustDomain),
        reattestable: true,
      }
    },
  }
}

function readCertificate(der: Buffer): Certificate {
  try {
    return parseCertificate(der)
  } catch (error) {
    throw new AttestationError('invalid', `a certificate cannot be read: ${(error as Error).message}`)
  }
}

/** The CAs that the leaf hangs on, and no other that was merely sent along: they become selectors. */
function verifiedIssuers(
  chain: readonly Certificate[],
  authorities: readonly Certificate[],
  now: number,
): readonly Certificate[] {
  try {
    return verifyCertificateChain(chain, authorities, now).slice(1)
  } catch (error) {
    if (!(error instanceof SpiffeError)) throw error
    throw new AttestationError('denied', `the certificate is not one of a CA that may let nodes join: ${error.message}`)
  }
}

/** @throws AttestationError `denied`, `invalid` */
async function proveKey(leaf: Certificate, challenge: (bytes: Buffer) => Promise<Buffer>): Promise<void> {
  if (leaf.keyUsage?.has('digitalSignature') !== true) {
    throw new AttestationError('denied', 'the certificate is not for signatures: its key usage has no digitalSignature')
  }
  const asked: PossessionChallenge | undefined = possessionChallenge(leaf.publicKey, randomBytes(32))
  if (!asked) throw new AttestationError('denied', 'the key of the certificate must be RSA or EC')
  const answer = await challenge(Buffer.from(JSON.stringify(asked.message)))
  if (!provesPossession(asked, answer)) {
    throw new AttestationError('denied', "the answer to the challenge is not signed with the certificate's key")
  }
}

/** As SPIRE names them. */
function selectorsOf(leaf: Certificate, issuers: readonly Certificate[], trustDomain: string): Selector[] {
  const name = commonNameOf(leaf)
  const values = [
    ...(name ? [`subject:cn:${name}`] : []),
    ...issuers.map((issuer) => `ca:fingerprint:${fingerprint(issuer)}`),
    `serialnumber:${leaf.serialNumber}`,
    ...sanSelectors(leaf, trustDomain),
  ]
  return [...new Set(values)].map((value) => ({ type: 'x509pop', value }))
}

/** `x509pop://TRUST_DOMAIN/key/value` among the names of the certificate: `san:key:value`. */
function sanSelectors({ uris }: Certificate, trustDomain: string): string[] {
  const prefix = `x509pop://${trustDomain}/`
  const values = new Map<string, string>()
  for (const uri of uris) {
    const [, key, value] = (uri.startsWith(prefix) && /^([\w.-]+)\/([\w./:@-]+)$/.exec(uri.slice(prefix.length))) || []
    if (key !== undefined && value !== undefined) values.set(key, value)
  }
  return [...values].map(([key, value]) => `san:${key}:${value}`)
}

const commonName = '2.5.4.3'

/** Of several the last one, as in SPIRE. */
function commonNameOf({ subjectDer }: Certificate): string | undefined {
  const attributes = readDistinguishedName(subjectDer).flat()
  return attributes.findLast(({ type }) => type === commonName)?.text
}

/** Not for security, but for names: SPIRE calls certificates so. */
function fingerprint({ der }: Certificate): string {
  return createHash('sha1').update(der).digest('hex')
}
