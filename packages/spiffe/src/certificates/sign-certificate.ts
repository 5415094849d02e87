import { contextTag } from '../der/der-reader.ts'
import { bitString, element, integer, sequence, time } from '../der/write-der.ts'
import { SpiffeError } from '../spiffe-error.ts'
import type { Signing } from './signature-algorithm.ts'

export interface CertificateBody {
  /** 1 to 20 bytes, the first below 0x80, not all zero */
  readonly serialNumber: Uint8Array
  readonly issuerDer: Buffer
  /** Seconds since the epoch */
  readonly notBefore: number
  readonly notAfter: number
  readonly subjectDer: Buffer
  readonly publicKeyDer: Uint8Array
  /** Each a whole Extension */
  readonly extensions: readonly Buffer[]
}

const version3 = element(contextTag(0, 'constructed'), integer(Buffer.from([2])))

/**
 * A certificate as DER (RFC 5280 section 4.1). Throws `invalid_configuration` for a serial number or times that none
 * can have.
 */
export function signCertificate(body: CertificateBody, signing: Signing): Buffer {
  checkSerialNumber(body.serialNumber)
  checkTimes(body)
  const toBeSigned = sequence(
    version3,
    integer(body.serialNumber),
    signing.algorithmDer,
    body.issuerDer,
    sequence(time(body.notBefore), time(body.notAfter)),
    body.subjectDer,
    body.publicKeyDer,
    element(contextTag(3, 'constructed'), sequence(...body.extensions)),
  )
  return sequence(toBeSigned, signing.algorithmDer, bitString(signing.sign(toBeSigned)))
}

function checkSerialNumber(bytes: Uint8Array): void {
  const isFit = bytes.length >= 1 && bytes.length <= 20 && bytes[0]! < 0x80 && bytes.some((byte) => byte !== 0)
  if (!isFit) throw invalid('a serial number has 1 to 20 bytes, the first below 0x80, and is not zero')
}

/** 9999-12-31T23:59:59Z, beyond which no certificate can say its end (RFC 5280 section 4.1.2.5). */
const lastSecond = 253_402_300_799

function checkTimes({ notBefore, notAfter }: CertificateBody): void {
  const areWhole = Number.isInteger(notBefore) && Number.isInteger(notAfter)
  if (!areWhole || notBefore < 0 || notAfter < notBefore || notAfter > lastSecond) {
    throw invalid('a certificate begins and ends at whole seconds, and ends after it begins')
  }
}

function invalid(message: string): SpiffeError {
  return new SpiffeError('invalid_configuration', message)
}
