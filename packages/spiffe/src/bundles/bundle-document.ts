import { importPublicJwk, parseJson } from '@countersign/tokens'
import { type Certificate, parseCertificate } from '../certificates/certificate.ts'
import { quoted, SpiffeError } from '../spiffe-error.ts'
import { type Bundle, createBundle, type JwtAuthorityParts } from './bundle.ts'

const maximumBytes = 4 * 1024 * 1024
const maximumKeys = 1000
const longestRefreshHintSeconds = 2 ** 31

/**
 * Reads a bundle in the SPIFFE format, a JWK Set (Trust Domain and Bundle, section 4). Entries of unknown use, key type
 * or curve are left out, as the standard wants. Throws `invalid_bundle` for what is no such document, more than 4 MiB
 * or 1000 keys, a JWT key without or with a repeated `kid`, a certificate that cannot be read, and private keys. An
 * empty `keys` is a bundle that trusts nothing.
 */
export function parseBundleDocument(trustDomain: string, json: string | Uint8Array): Bundle {
  const document = readDocument(json)
  const keys = readKeys(document)
  return createBundle({
    trustDomain,
    x509Authorities: keys.flatMap(readX509Authority),
    jwtAuthorities: keys.filter(({ use }) => use === 'jwt-svid').flatMap(readJwtAuthority),
    sequenceNumber: readCount(document, 'spiffe_sequence', 2 ** 64),
    refreshHintSeconds: readCount(document, 'spiffe_refresh_hint', longestRefreshHintSeconds),
  })
}

/** A bundle in the SPIFFE format, as JSON text. */
export function formatBundleDocument(bundle: Bundle): string {
  return JSON.stringify({
    keys: [...bundle.x509Authorities.map(x509Entry), ...jwtEntries(bundle, 'jwt-svid')],
    spiffe_sequence: bundle.sequenceNumber,
    spiffe_refresh_hint: bundle.refreshHintSeconds,
  })
}

/** The JWK Set of JWT-SVID keys that the Workload API gives (section 6.2.2 there): JWT keys and nothing else. */
export function parseJwtBundle(trustDomain: string, json: string | Uint8Array): Bundle {
  const keys = readKeys(readDocument(json)).filter(
    ({ use }) => use === undefined || use === 'jwt-svid' || use === 'sig',
  )
  return createBundle({ trustDomain, jwtAuthorities: keys.flatMap(readJwtAuthority) })
}

export function formatJwtBundle(bundle: Bundle): string {
  return JSON.stringify({ keys: jwtEntries(bundle) })
}

function x509Entry({ der, publicKey }: Certificate): object {
  return { ...publicKey.export({ format: 'jwk' }), use: 'x509-svid', x5c: [der.toString('base64')] }
}

function jwtEntries(bundle: Bundle, use?: string): object[] {
  return [...bundle.jwtAuthorities.values()].map(({ keyId, verificationKey: { jwk } }) => ({ ...jwk, kid: keyId, use }))
}

type Members = { readonly [name: string]: unknown }

function readDocument(json: string | Uint8Array): Members {
  try {
    const input = typeof json === 'string' ? json : Buffer.from(json.buffer, json.byteOffset, json.byteLength)
    const value = parseJson(input, { maximumBytes, maximumDepth: 16 })
    if (isObject(value)) return value
  } catch (error) {
    throw invalid((error as Error).message)
  }
  throw invalid('it is not a JSON object')
}

function readKeys({ keys }: Members): Members[] {
  if (!Array.isArray(keys) || !keys.every(isObject)) throw invalid('"keys" is missing, or no array of objects')
  if (keys.length > maximumKeys) throw invalid(`it has more than ${maximumKeys} keys`)
  return keys
}

function readX509Authority({ use, kty, x5c, d }: Members): Certificate[] {
  if (use !== 'x509-svid' || !x509KeyTypes.includes(kty)) return []
  // A CA's private key has leaked; to go on as if nothing were would hide it.
  if (d !== undefined) throw invalid('an X.509 entry holds a private key; publish only the public one, and replace it')
  // X509-SVID section 6.2: without a certificate the entry is ignored; of several the first counts.
  if (x5c === undefined || (Array.isArray(x5c) && x5c.length === 0)) return []
  const text = Array.isArray(x5c) ? x5c[0] : undefined
  const der = typeof text === 'string' ? Buffer.from(text, 'base64') : undefined
  if (der === undefined || der.toString('base64') !== text) throw invalid('an "x5c" is no array of base64 text')
  try {
    return [parseCertificate(der)]
  } catch (error) {
    throw invalid((error as Error).message)
  }
}

const x509KeyTypes: readonly unknown[] = ['EC', 'RSA', 'OKP']

function readJwtAuthority(entry: Members): JwtAuthorityParts[] {
  const { kty, kid, crv } = entry
  if (!jwtKeyTypes.includes(kty) || (kty === 'EC' && !knownCurves.includes(crv))) return []
  if (typeof kid !== 'string') throw invalid('a JWT key has no "kid"')
  try {
    const { key, jwk } = importPublicJwk({ ...entry, use: undefined })
    return [{ keyId: kid, publicKey: key, algorithm: jwk.alg }]
  } catch (error) {
    throw invalid(`the key ${quoted(kid)}: ${(error as Error).message}`)
  }
}

const jwtKeyTypes: readonly unknown[] = ['EC', 'RSA']
const knownCurves: readonly unknown[] = ['P-256', 'P-384', 'P-521']

function readCount(document: Members, name: string, maximum: number): number | undefined {
  const value = document[name]
  if (value === undefined) return undefined
  if (typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= maximum) return value
  throw invalid(`"${name}" is no whole number from 0 to ${maximum}`)
}

function isObject(value: unknown): value is Members {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function invalid(message: string): SpiffeError {
  return new SpiffeError('invalid_bundle', `the bundle is refused: ${message}`)
}
