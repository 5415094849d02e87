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
 * Reads `spiffe://example.org/a/b`. Scheme and trust domain are taken in any case, as in every URI, and come out in lower
 * case. Throws `invalid_spiffe_id` for anything else than letters, digits, `.`, `-` and `_` in the segments, and for
 * empty and dot segments, a trailing slash, user, port, query, fragment, percent signs, and more than 2048 bytes.
 */
export function parseSpiffeId(text: string): SpiffeId {
  if (text.length > maximumLength) throw invalid(text, `is longer than ${maximumLength} bytes`)
  if (text.slice(0, scheme.length).toLowerCase() !== scheme) throw invalid(text, `does not begin with ${scheme}`)
  const slash = text.indexOf('/', scheme.length)
  const trustDomain = text.slice(scheme.length, slash === -1 ? undefined : slash).toLowerCase()
  return createId(trustDomain, slash === -1 ? '' : text.slice(slash))
}

/** The ID of `path` (`/a/b`, or `''`) in a trust domain. Throws `invalid_spiffe_id`. */
export function spiffeId(trustDomain: string, path: string): SpiffeId {
  const id = createId(parseTrustDomain(trustDomain), path)
  const text = id.toString()
  if (text.length > maximumLength) throw invalid(text, `is longer than ${maximumLength} bytes`)
  return id
}

/** The name of a trust domain, given as `example.org` or `spiffe://example.org`. Throws `invalid_spiffe_id`. */
export function parseTrustDomain(text: string): string {
  const hasScheme = text.slice(0, scheme.length).toLowerCase() === scheme
  const name = (hasScheme ? text.slice(scheme.length) : text).toLowerCase()
  checkTrustDomain(name, text)
  return name
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

function createId(trustDomain: string, path: string): SpiffeId {
  const text = `${scheme}${trustDomain}${path}`
  checkTrustDomain(trustDomain, text)
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

function checkTrustDomain(name: string, text: string): void {
  if (name === '') throw invalid(text, 'names no trust domain')
  if (name.length > maximumTrustDomainLength) {
    throw invalid(text, `has a trust domain of more than ${maximumTrustDomainLength} characters`)
  }
  if (!/^[a-z0-9._-]+$/.test(name)) {
    throw invalid(text, 'has a trust domain with other characters than letters, digits, ".", "-" and "_"')
  }
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
