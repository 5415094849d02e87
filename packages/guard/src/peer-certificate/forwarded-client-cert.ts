import { type Certificate, parsePemCertificates } from '@countersign/spiffe'
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
  const chain = elementsOf(value).map(chainOf).at(-1)
  if (chain === undefined) {
    throw malformed('X-Forwarded-Client-Cert has no Cert: Envoy needs set_current_client_cert_details: { cert: true }')
  }
  return chain.map(({ der }) => der)
}

type Fields = ReadonlyMap<string, readonly string[]>

/** The chain of one element, undefined where it shows none. */
function chainOf(fields: Fields): readonly Certificate[] | undefined {
  const [pem] = fields.get('chain') ?? fields.get('cert') ?? []
  if (pem === undefined) return undefined
  const chain = readPem(pem)
  const [leaf] = chain as [Certificate, ...Certificate[]]
  const shown = fields.get('cert')?.[0]
  if (shown !== undefined && !leaf.der.equals(readPem(shown)[0]!.der)) {
    throw malformed('X-Forwarded-Client-Cert has a Cert that its Chain does not begin with')
  }
  if (!beginsWith(leaf.uris, fields.get('uri')) || !beginsWith(leaf.dnsNames, fields.get('dns'))) {
    throw malformed('X-Forwarded-Client-Cert has names that are not those of its certificate')
  }
  return chain
}

/**
 * Envoy writes these names as they are: one with a comma in it, first of all, would end the element and begin another. A
 * certificate without names has an empty one told of it.
 */
function beginsWith(names: readonly string[], told: readonly string[] = []): boolean {
  return told.every((name, index) => name === (names[index] ?? ''))
}

/**
 * Elements are separated by commas, their fields by semicolons; within quotes a backslash escapes. The whole of it must be so, to
 * the last letter: a quote that a client sent open would else have us read the proxy's own values inside out.
 */
function elementsOf(value: string): Fields[] {
  let fields = new Map<string, string[]>()
  const elements = [fields]
  const field = /[ \t]*([A-Za-z]+)=("(?:[^"\\]|\\.)*"|[^",;\\]*)([,;]|$)/y
  for (let end: string | undefined; end !== ''; ) {
    const [, given, text, separator] = field.exec(value) ?? []
    if (given === undefined || text === undefined)
      throw malformed('X-Forwarded-Client-Cert is not quoted as it must be')
    const name = given.toLowerCase()
    // URI and DNS repeat; what decides must not.
    if ((name === 'cert' || name === 'chain') && fields.has(name)) {
      throw malformed(`X-Forwarded-Client-Cert has two fields ${name}`)
    }
    fields.set(name, [...(fields.get(name) ?? []), unquoted(text.trim())])
    end = separator
    if (end !== ',') continue
    fields = new Map()
    elements.push(fields)
  }
  return elements
}

function unquoted(value: string): string {
  return value.startsWith('"') ? value.slice(1, -1).replace(/\\(.)/g, '$1') : value
}

function readPem(encoded: string): Certificate[] {
  try {
    const certificates = parsePemCertificates(decodeURIComponent(encoded))
    if (certificates.length === 0) throw new Error('it holds no certificate')
    return certificates
  } catch (error) {
    throw malformed(`X-Forwarded-Client-Cert: ${(error as Error).message}`, error)
  }
}

function malformed(message: string, cause?: unknown): PeerCertificateError {
  return new PeerCertificateError('malformed_header', message, { cause })
}
