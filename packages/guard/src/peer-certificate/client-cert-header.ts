import { PeerCertificateError } from './peer-certificate.ts'

/** Headers are bounded by the server already; this bounds what is decoded. */
const longestValue = 64 * 1024
const maximumChain = 10

/**
 * Reads `Client-Cert`, one Byte Sequence, and `Client-Cert-Chain`, a List of them (RFC 9440 section 2, RFC 9651): DER, leaf first.
 * `chain` without `leaf` is refused. Throws PeerCertificateError `malformed_header`.
 */
export function parseClientCert(leaf: string | undefined, chain: string | undefined): Uint8Array[] {
  if (leaf === undefined) {
    if (chain !== undefined) throw malformed('Client-Cert-Chain came without Client-Cert')
    return []
  }
  return [readByteSequence(leaf, 'Client-Cert'), ...(chain === undefined ? [] : readChain(chain))]
}

function readChain(text: string): Uint8Array[] {
  if (text.trim() === '') return []
  const members = text.split(',', maximumChain + 1)
  if (members.length > maximumChain) throw malformed(`Client-Cert-Chain has more than ${maximumChain} certificates`)
  return members.map((member) => readByteSequence(member, 'Client-Cert-Chain'))
}

/** RFC 9651 section 4.2.7; parameters have no meaning here, and nobody sends them. */
function readByteSequence(text: string, name: string): Uint8Array {
  const content = /^[ \t]*:([A-Za-z0-9+/]+={0,2}):[ \t]*$/.exec(text)?.[1]
  if (content === undefined || text.length > longestValue) throw malformed(`${name} is no base64 between colons`)
  const bytes = Buffer.from(content, 'base64')
  // Each certificate has one spelling; padding may be missing (RFC 9651 section 4.2.7 asks to be lenient there).
  if (bytes.toString('base64').replace(/=+$/, '') !== content.replace(/=+$/, '')) {
    throw malformed(`${name} is not base64 as it must be`)
  }
  return bytes
}

function malformed(message: string): PeerCertificateError {
  return new PeerCertificateError('malformed_header', message)
}
