import { quoted, SpiffeError } from '../spiffe-error.ts'

/** A SPIFFE ID (SPIFFE-ID section 2). Frozen. */
export interface SpiffeId {
  /** In lower case, without the scheme: `example.org` */
  readonly trustDomain: string
  /** `''` for the trust domain itself, else `/a/b` */
  readonly path: string
  /** `spiffe://example.org/a/b` */
  toString(): string
}

/**
 * Reads `spiffe://example.org/a/b`. Scheme and trust domain are taken in any case, as in every URI, and come out in
 * lower case. Throws `invalid_spiffe_id` for anything else than letters, digits, `.`, `-` and `_` in the segments, and
 * for empty and dot segments, a trailing slash, user, port, query, fragment, percent signs, and more than 2048 bytes.
 */
export function parseSpiffeId(text: string): SpiffeId {
  if (text.length > maximumLength) throw invalid(text, `is longer than ${maximumLength} bytes`)
  if (!hasScheme(text)) throw invalid(text, `does not begin with ${scheme}`)
  const slash = text.indexOf('/', scheme.length)
  const trustDomain = readTrustDomain(text.slice(scheme.length, slash === -1 ? undefined : slash), text)
  return createId(trustDomain, slash === -1 ? '' : text.slice(slash), text)
}

/** The ID of `path` (`/a/b`, or `''`) in a trust domain. Throws `invalid_spiffe_id`. */
export function spiffeId(trustDomain: string, path: string): SpiffeId {
  const name = parseTrustDomain(trustDomain)
  const text = `${scheme}${name}${path}`
  if (text.length > maximumLength) throw invalid(text, `is longer than ${maximumLength} bytes`)
  return createId(name, path, text)
}

/** The name of a trust domain, given as `example.org` or `spiffe://example.org`. Throws `invalid_spiffe_id`. */
export function parseTrustDomain(text: string): string {
  return readTrustDomain(hasScheme(text) ? text.slice(scheme.length) : text, text)
}

export function isSpiffeId(text: string): boolean {
  try {
    parseSpiffeId(text)
    return true
  } catch {
    return false
  }
}

const scheme = 'spiffe://'
const maximumLength = 2048
const maximumTrustDomainLength = 255

function hasScheme(text: string): boolean {
  return text.slice(0, scheme.length).toLowerCase() === scheme
}

function createId(trustDomain: string, path: string, text: string): SpiffeId {
  if (path !== '') checkPath(path, text)
  return Object.freeze(new PlainSpiffeId(trustDomain, path))
}

/** A class only so that two equal IDs have equal members. */
class PlainSpiffeId implements SpiffeId {
  readonly trustDomain: string
  readonly path: string

  constructor(trustDomain: string, path: string) {
    this.trustDomain = trustDomain
    this.path = path
  }

  toString(): string {
    return `${scheme}${this.trustDomain}${this.path}`
  }

  toJSON(): string {
    return this.toString()
  }
}

function readTrustDomain(name: string, text: string): string {
  if (name === '') throw invalid(text, 'names no trust domain')
  if (name.length > maximumTrustDomainLength) {
    throw invalid(text, `has a trust domain of more than ${maximumTrustDomainLength} characters`)
  }
  // Before the change of case: the Kelvin sign would become a k.
  if (!/^[A-Za-z0-9._-]+$/.test(name)) {
    throw invalid(text, 'has a trust domain with other characters than letters, digits, ".", "-" and "_"')
  }
  return name.toLowerCase()
}

function checkPath(path: string, text: string): void {
  if (!path.startsWith('/')) throw invalid(text, 'has a path that does not begin with "/"')
  for (const segment of path.slice(1).split('/')) {
    if (segment === '') throw invalid(text, 'has an empty path segment or a slash at its end')
    if (segment === '.' || segment === '..') throw invalid(text, 'has a "." or ".." as path segment')
    if (!/^[A-Za-z0-9._-]+$/.test(segment)) {
      throw invalid(text, 'has a path with other characters than letters, digits, ".", "-", "_" and "/"')
    }
  }
}

function invalid(text: string, why: string): SpiffeError {
  return new SpiffeError('invalid_spiffe_id', `${quoted(text)} ${why}`)
}
