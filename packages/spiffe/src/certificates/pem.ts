import { SpiffeError } from '../spiffe-error.ts'
import { type Certificate, parseCertificate } from './certificate.ts'

/** PEM text (RFC 7468) around DER, with a line break at its end. The label is `CERTIFICATE` unless given. */
export function toPem(der: Uint8Array, label = 'CERTIFICATE'): string {
  const lines =
    Buffer.from(der)
      .toString('base64')
      .match(/.{1,64}/g) ?? []
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`
}

/** Certificates, or their DER, one after the other, as servers and files want a chain or a bundle; '' for none. */
export function formatPemCertificates(certificates: readonly ({ readonly der: Uint8Array } | Uint8Array)[]): string {
  return certificates.map((one) => toPem(one instanceof Uint8Array ? one : one.der)).join('')
}

/**
 * The certificates in PEM text, in their order; text around them and blocks with other labels are ignored. Throws
 * `invalid_certificate` where there is none, or one that cannot be read, or more than 1000.
 */
export function parsePemCertificates(pem: string): Certificate[] {
  const blocks = [...pem.matchAll(/-----BEGIN CERTIFICATE-----([^-]*)-----END CERTIFICATE-----/g)]
  const isWhole = blocks.length === pem.split('-----BEGIN CERTIFICATE-----').length - 1
  if (blocks.length === 0 || !isWhole) throw invalid('there is no whole PEM block "CERTIFICATE" in it')
  if (blocks.length > 1000) throw invalid('there are more than 1000 certificates in it')
  return blocks.map(([, base64]) => parseCertificate(decode(base64!.replace(/\s/g, ''))))
}

function decode(base64: string): Buffer {
  const bytes = Buffer.from(base64, 'base64')
  if (bytes.toString('base64') !== base64) throw invalid('a block in it is not base64')
  return bytes
}

function invalid(why: string): SpiffeError {
  return new SpiffeError('invalid_certificate', `the PEM text is refused: ${why}`)
}
