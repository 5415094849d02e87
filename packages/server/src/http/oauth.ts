import { isUtf8 } from 'node:buffer'
import { type FindPeerCertificate, type PeerCertificate, PeerCertificateError } from '@countersign/guard'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { ClientRequest } from '../client-auth/client-auth-method.ts'
import { StoreError } from '../storage/store.ts'
import { parseForm } from '../token-endpoint/form.ts'
import { OAuthError } from '../token-endpoint/oauth-error.ts'

/** A form of credentials is small; an assertion or a token is the longest thing in it. */
export const largestForm = 64 * 1024

export const noStore = { 'cache-control': 'no-store', pragma: 'no-cache' }

/** Failed authentications are answered at whole multiples of this, so that a look-up's time tells nothing of what it found. */
const failureMilliseconds = 25
/** The same for assertions: to find the key of one, another server may have been asked. */
const assertionFailureDefault = 500

export interface OAuthEndpoint {
  path: string
  addressOf: (request: FastifyRequest) => string
  certificateOf: FindPeerCertificate
  /** Throws OAuthError 429 before anything is read; left out where only failures are limited */
  admit?: (address: string) => void | Promise<void>
  answer: (request: ClientRequest) => Promise<{ body?: object; headers?: Record<string, string>; outcome: string }>
  /** Records that what came is no form of ours, and gives what to throw */
  onMalformed: (error: unknown, address: string) => Promise<unknown>
  onOutcome: (outcome: string) => void
  /** Refused assertions are answered at whole multiples of this. Default 500 */
  assertionRefusalMilliseconds?: number | undefined
}

/** What the program hands to every such endpoint, and what that works with. */
export type OAuthRoutesOptions<Context> = { context: Context } & Pick<
  OAuthEndpoint,
  'addressOf' | 'certificateOf' | 'onOutcome' | 'assertionRefusalMilliseconds'
>

/** One endpoint that takes forms by POST, and nothing by any other method. */
export function oauthEndpoint(app: FastifyInstance, endpoint: OAuthEndpoint): void {
  const { path, addressOf, onOutcome, assertionRefusalMilliseconds = assertionFailureDefault } = endpoint
  refuseOtherMethods(app, path, 'POST')
  app.post(path, { bodyLimit: largestForm }, async (request, reply) => {
    const arrivedAt = performance.now()
    let grainMilliseconds = 0
    try {
      const address = addressOf(request)
      await endpoint.admit?.(address)
      const read = await readRequest(request, address, endpoint)
      grainMilliseconds = read.form.has('client_assertion') ? assertionRefusalMilliseconds : failureMilliseconds
      const { body, headers, outcome } = await endpoint.answer(read)
      onOutcome(outcome)
      return reply
        .headers(headers ?? {})
        .headers(noStore)
        .send(body)
    } catch (error) {
      onOutcome(outcomeOf(error))
      await holdRefusal(error, arrivedAt, grainMilliseconds)
      throw error
    }
  })
}

export function refuseOtherMethods(app: FastifyInstance, path: string, allowed: string): void {
  app.route({
    method: app.supportedMethods.filter((method) => method !== allowed),
    url: path,
    // Before the body is read: what is in it does not matter.
    onRequest: async () => {
      throw new OAuthError('invalid_request', `use ${allowed} here`, { status: 405, headers: { allow: allowed } })
    },
    handler: () => {},
  })
}

/** Has every answer and error of the OAuth endpoints in RFC 6749's form, whatever went wrong. */
export function speakOAuth(app: FastifyInstance): void {
  app.removeAllContentTypeParsers()
  app.addContentTypeParser(/^application\/x-www-form-urlencoded(;|$)/i, { parseAs: 'buffer' }, (_request, body, done) =>
    done(null, body),
  )
  // Let through to where it is refused: it counts against limits and is recorded like anything else that is no form.
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, _body, done) => done(null, otherMediaType))
  app.setErrorHandler((error, request, reply) => sendOAuthError(error, request, reply))
}

/** RFC 6749 section 2.3.1: credentials never travel in the URI, where logs keep them. */
export function refuseCredentialsInUrl(url: string): void {
  if (!url.includes('?')) return
  for (const pair of url.slice(url.indexOf('?') + 1).split(/[&;]/)) {
    const name = decoded(pair.split('=')[0] ?? '').toLowerCase()
    if (!/^(client_secret|client_assertion|access_token|token)$/.test(name)) continue
    throw new OAuthError(
      'invalid_request',
      'credentials belong in the body or the Authorization header, not in the URL',
    )
  }
}

/**
 * Of two Authorization headers Node keeps the first and says nothing.
 * @throws OAuthError `invalid_request`
 */
export function singleAuthorization(rawHeaders: readonly string[]): string | undefined {
  let found: string | undefined
  for (let index = 0; index < rawHeaders.length; index += 2) {
    if (rawHeaders[index]?.toLowerCase() !== 'authorization') continue
    if (found !== undefined) throw new OAuthError('invalid_request', 'there is more than one Authorization header')
    found = rawHeaders[index + 1]
  }
  return found
}

/**
 * Waits before a failed authentication is answered, also where it is answered with 429 because there were too many.
 * @param arrivedAt of the request, by `performance.now()`
 */
export async function holdRefusal(
  error: unknown,
  arrivedAt: number,
  grainMilliseconds = failureMilliseconds,
): Promise<void> {
  const isTelling = error instanceof OAuthError && (error.code === 'invalid_client' || error.status === 429)
  if (!isTelling || grainMilliseconds === 0) return
  const elapsed = performance.now() - arrivedAt
  await new Promise((resolve) => setTimeout(resolve, grainMilliseconds - (elapsed % grainMilliseconds)))
}

/** What to count an error under. */
export function outcomeOf(error: unknown): string {
  const told = asOAuthError(error)
  if (told?.status === 429) return 'rate_limited'
  return told?.code ?? 'server_error'
}

async function readRequest(request: FastifyRequest, address: string, endpoint: OAuthEndpoint): Promise<ClientRequest> {
  try {
    refuseCredentialsInUrl(request.url)
    const authorization = singleAuthorization(request.raw.rawHeaders)
    const certificate = certificateOf(request, endpoint.certificateOf)
    return { form: parseForm(bodyText(request.body)), authorization, address, certificate }
  } catch (error) {
    throw await endpoint.onMalformed(error, address)
  }
}

/**
 * Undefined where the client showed none.
 * @throws OAuthError `invalid_request` for one that cannot be read, or that is told of by who may not
 */
export function certificateOf({ raw }: FastifyRequest, find: FindPeerCertificate): PeerCertificate | undefined {
  try {
    return find({ headers: raw.headers, rawHeaders: raw.rawHeaders, socket: raw.socket })
  } catch (error) {
    if (!(error instanceof PeerCertificateError)) throw error
    throw new OAuthError('invalid_request', 'the client certificate cannot be used', {
      reason: `${error.reason}: ${error.message}`,
    })
  }
}

const otherMediaType = Symbol('a body of another media type')

function bodyText(body: unknown): string {
  if (body === otherMediaType) {
    throw new OAuthError('invalid_request', 'send the request as application/x-www-form-urlencoded')
  }
  if (body === undefined || body === null) return ''
  if (!isUtf8(body as Buffer)) throw new OAuthError('invalid_request', 'the form is not UTF-8')
  return (body as Buffer).toString('utf8')
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

function sendOAuthError(error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const told = asOAuthError(error)
  if (!told) {
    request.log.error({ err: error }, 'an OAuth request failed')
    return reply.code(500).headers(noStore).send({ error: 'server_error', error_description: 'the server failed' })
  }
  return reply.code(told.status).headers(told.headers).headers(noStore).send(told.toJSON())
}

function asOAuthError(error: unknown): OAuthError | undefined {
  if (error instanceof OAuthError) return error
  const { statusCode, code } = error as { statusCode?: number; code?: string }
  // A single-use memory that is full and a Redis that is away are stores that cannot be written to, too.
  if (error instanceof StoreError || code === 'capacity' || code === 'store_unavailable') {
    return new OAuthError('temporarily_unavailable', 'the server cannot reach what it must record: try again', {
      status: 503,
      headers: { 'retry-after': '1' },
    })
  }
  if (code === 'FST_ERR_CTP_INVALID_MEDIA_TYPE' || code === 'FST_ERR_CTP_EMPTY_TYPE') {
    return new OAuthError('invalid_request', 'send the request as application/x-www-form-urlencoded')
  }
  if (statusCode === 413) return new OAuthError('invalid_request', 'the request body is too large', { status: 413 })
  if (statusCode !== undefined && statusCode >= 400 && statusCode < 500) {
    return new OAuthError('invalid_request', 'the request is malformed', {
      status: statusCode === 415 ? 400 : statusCode,
    })
  }
  return undefined
}
