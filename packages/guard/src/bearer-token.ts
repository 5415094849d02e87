import type { IncomingHttpHeaders } from 'node:http'
import type { Caller } from './caller.ts'
import type { ServiceTokenVerifier } from './service-token/service-token-verifier.ts'

/** As much of a request as a guard looks at: node:http's, Express's and Fastify's fit as they are, and so does a Fetch `Request`. */
export interface RequestLike {
  readonly headers: IncomingHttpHeaders | Headers
  /** Names and values as they came. Node drops a second `Authorization` without a word; only here it can be seen. */
  readonly rawHeaders?: readonly string[]
  /** Path and query, or the whole URL. */
  readonly url?: string
  readonly method?: string
  /** Reads the content and leaves the same bytes for whoever reads it next. Service tokens are checked against it. */
  readonly readContent?: (maximumBytes: number) => Promise<Uint8Array>
  /** The connection: of a TLS one the guard reads the client's certificate. Requests of node:http have it. */
  readonly socket?: object
  /** The client's certificates as DER, leaf first, where there is no `socket` and TLS has seen the private key used. */
  readonly peerCertificates?: readonly Uint8Array[]
  /** Where a service token is carried otherwise than in a header of HTTP: gRPC's guard sets it. */
  readonly serviceToken?: CarriedServiceToken
  /** What stands for the request, where this object is made for one look at it. */
  readonly incoming?: object
}

/** A service token that is found and bound as its transport says. */
export interface CarriedServiceToken {
  readonly isCarried: boolean
  /** Rejects with GuardError. */
  verify(verifier: ServiceTokenVerifier): Promise<Caller>
}

/** What is wrong with how the request carries its credential. */
export interface CarrierFault {
  readonly code: 'missing_credential' | 'invalid_request' | 'InvalidM2MToken'
  readonly reason: string
  readonly message: string
}

/** Finds the one bearer token of a request (RFC 6750 section 2.1), or says what is wrong with how it is carried. */
export function findBearerToken(request: RequestLike): string | CarrierFault {
  if (carriesTokenInQuery(request.url)) return tokenInQuery
  if (countAuthorizations(request.rawHeaders) > 1) return duplicateAuthorization
  const authorization = readHeader(request.headers, 'authorization')
  if (authorization === undefined) return missingCredential
  if (typeof authorization !== 'string') return duplicateAuthorization
  const scheme = bearerScheme.exec(authorization)
  if (scheme === null) return otherScheme.test(authorization) ? unsupportedScheme : malformedAuthorization
  const token = authorization.slice(scheme[0].length)
  return isOneWord(token) ? token : malformedAuthorization
}

/** RFC 6750 section 2.1; the scheme compares in any case (RFC 9110 section 11.1). */
const bearerScheme = /^bearer +/i
const otherScheme = /^(?!bearer(?: |$))[!#$%&'*+\-.^_`|~0-9A-Za-z]+(?: |$)/i

/** Whether it is a token is for the verifier to say; two of them, or a list of parameters, is no credential at all. */
function isOneWord(text: string): boolean {
  return text !== '' && !text.includes(' ') && !text.includes(',')
}

/** @param name in lower case */
export function readHeader(
  headers: IncomingHttpHeaders | Headers,
  name: string,
): string | readonly string[] | undefined {
  // A header called "get" would be text. (`instanceof Headers` would cost more than all else in here.)
  if (typeof headers.get === 'function') return (headers as Headers).get(name) ?? undefined
  return (headers as IncomingHttpHeaders)[name]
}

function countAuthorizations(rawHeaders: readonly string[] | undefined): number {
  let count = 0
  if (rawHeaders === undefined) return count
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index]!
    if (name.length === 13 && name.toLowerCase() === 'authorization') count++
  }
  return count
}

/** A token in the URL ends in logs and histories: refused even beside a good header (RFC 9700 section 4.3.2). */
function carriesTokenInQuery(url: string | undefined): boolean {
  const start = url?.indexOf('?') ?? -1
  if (start === -1) return false
  const query = url!.slice(start + 1)
  return mayNameToken.test(query) && new URLSearchParams(query.split('#', 1)[0]).has('access_token')
}

/** Spares most queries the parsing: the name in clear, or an escape that may spell it. */
const mayNameToken = /access_token|%[4-7]/i

const missingCredential: CarrierFault = {
  code: 'missing_credential',
  reason: 'missing_credential',
  message: 'This resource asks for a token in the Authorization header.',
}
const unsupportedScheme: CarrierFault = {
  code: 'missing_credential',
  reason: 'unsupported_scheme',
  message: 'This resource takes the Bearer scheme in the Authorization header, and no other.',
}
const malformedAuthorization: CarrierFault = {
  code: 'invalid_request',
  reason: 'malformed_authorization',
  message: 'The Authorization header must be the word Bearer, a space and one token.',
}
const duplicateAuthorization: CarrierFault = {
  code: 'invalid_request',
  reason: 'duplicate_authorization',
  message: 'The request has more than one Authorization header; send exactly one.',
}
const tokenInQuery: CarrierFault = {
  code: 'invalid_request',
  reason: 'token_in_query',
  message: 'The access token is in the URL; send it in the Authorization header.',
}
