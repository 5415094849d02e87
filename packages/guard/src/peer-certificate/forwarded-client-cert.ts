import { parsePemCertificates } from '@countersign/spiffe'
import { PeerCertificateError } from './peer-certificate.ts'

const longestValue = 128 * 1024

/**
 * The client's chain, DER and leaf first, from `X-Forwarded-Client-Cert` of Envoy: from its last element, which is the one
 * that the proxy itself has added; what stands before it, a client may have sent. An element without `Cert` or `Chain` names a
 * certificate without showing it, which is refused: set `set_current_client_cert_details: { cert: true, chain: true }`.
 * Throws PeerCertificateError `malformed_header`.
 */
export function parseForwardedClientCert(value: string | undefined): Uint8Array[] {
  if (value === undefined || value.trim() === '') return []
  if (value.length > longestValue) throw malformed('X-Forwarded-Client-Cert is too long')
  const fields = fieldsOf(lastElement(value))
  const pem = fields.get('chain') ?? fields.get('cert')
  if (pem === undefined) {
    throw malformed('X-Forwarded-Client-Cert has no Cert: Envoy needs set_current_client_cert_details: { cert: true }')
  }
  const chain = readPem(pem)
  const leaf = fields.get('cert')
  if (leaf !== undefined && !chain[0]!.equals(readPem(leaf)[0]!)) {
    throw malformed('X-Forwarded-Client-Cert has a Cert that its Chain does not begin with')
  }
  return chain
}

/** Elements are separated by commas, fields by semicolons, outside of quotes; within them a backslash escapes. */
function lastElement(value: string): string {
  return split(value, ',').at(-1)!
}

function fieldsOf(element: string): Map<string, string> {
  const fields = new Map<string, string>()
  for (const field of split(element, ';')) {
    const equals = field.indexOf('=')
    if (equals < 1) throw malformed('X-Forwarded-Client-Cert has a field without a value')
    const name = field.slice(0, equals).trim().toLowerCase()
    // URI and DNS repeat; what decides must not.
    if ((name === 'cert' || name === 'chain') && fields.has(name)) {
      throw malformed(`X-Forwarded-Client-Cert has two fields ${name}`)
    }
    fields.set(name, unquoted(field.slice(equals + 1).trim()))
  }
  return fields
}

function split(text: string, separator: ',' | ';'): string[] {
  const parts: string[] = []
  let start = 0
  let inQuotes = false
  for (let index = 0; index < text.length; index++) {
    const character = text[index]
    if (inQuotes && character === '\\') index++
    else if (character === '"') inQuotes = !inQuotes
    else if (character === separator && !inQuotes) {
      parts.push(text.slice(start, index))
      start = index + 1
    }
  }
  if (inQuotes) throw malformed('X-Forwarded-Client-Cert has a quote that does not end')
  parts.push(text.slice(start))
  return parts
}

function unquoted(value: string): string {
  if (!value.startsWith('"')) return value
  if (value.length < 2 || !value.endsWith('"')) throw malformed('X-Forwarded-Client-Cert has text after a quote')
  return value.slice(1, -1).replace(/\\(.)/g, '$1')
}

function readPem(encoded: string): Buffer[] {
  try {
    const certificates = parsePemCertificates(decodeURIComponent(encoded))
    if (certificates.length === 0) throw new Error('it holds no certificate')
    return certificates.map(({ der }) => der)
  } catch (error) {
    throw malformed(`X-Forwarded-Client-Cert: ${(error as Error).message}`, error)
  }
}

function malformed(message: string, cause?: unknown): PeerCertificateError {
  return new PeerCertificateError('malformed_header', message, { cause })
}
