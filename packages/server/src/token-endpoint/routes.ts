import { LimitsError } from '@countersign/limits'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { ClientRequest } from '../client-auth/client-auth-method.ts'
import { StoreError } from '../storage/store.ts'
import { parseForm } from './form.ts'
import { issueToken, type TokenContext } from './issue-token.ts'
import { OAuthError } from './oauth-error.ts'

/** A form of credentials is small; an assertion is the longest thing in it. */
export const largestForm = 64 * 1024

/** Failed authentications are answered no sooner than this, so that a look-up's time tells nothing of what it found. */
const failureMilliseconds = 25

export interface TokenRoutesOptions {
  context: TokenContext
  addressOf: (request: FastifyRequest) => string
  onOutcome: (outcome: string) => void
}

/** `POST /oauth/token` */
export function tokenRoutes(app: FastifyInstance, { context, addressOf, onOutcome }: TokenRoutesOptions): void {
  app.post('/oauth/token', { bodyLimit: largestForm }, async (request, reply) => {
    const arrivedAt = performance.now()
    try {
      const { token, headers } = await issueToken(readClientRequest(request, addressOf), context)
      onOutcome('issued')
      return reply.headers(headers).headers(noStore).send(token)
    } catch (error) {
      if (error instanceof OAuthError) onOutcome(error.code)
      if (error instanceof OAuthError && error.code === 'invalid_client') {
        await until(arrivedAt + failureMilliseconds)
      }
      throw error
    }
  })
}

/** Has every answer and error of the OAuth endpoints in RFC 6749's form, whatever went wrong. */
export function speakOAuth(app: FastifyInstance): void {
  app.removeAllContentTypeParsers()
  app.addContentTypeParser(/^application\/x-www-form-urlencoded(;|$)/i, { parseAs: 'buffer' }, (_request, body, done) =>
    done(null, body),
  )
  app.setErrorHandler((error, request, reply) => sendOAuthError(error, request, reply))
}

/** @throws OAuthError `invalid_request` */
export function readClientRequest(
  request: FastifyRequest,
  addressOf: (request: FastifyRequest) => string,
): ClientRequest {
  refuseCredentialsInUrl(request.url)
  return {
    form: parseForm(bodyText(request.body)),
    authorization: singleAuthorization(request.raw.rawHeaders),
    address: addressOf(request),
  }
}

function bodyText(body: unknown): string {
  if (body === undefined || body === null) return ''
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(body as Buffer)
  } catch {
    throw new OAuthError('invalid_request', 'the form is not UTF-8')
  }
}

/** Of two Authorization headers Node keeps the first and says nothing. */
function singleAuthorization(rawHeaders: readonly string[]): string | undefined {
  let found: string | undefined
  for (let index = 0; index < rawHeaders.length; index += 2) {
    if (rawHeaders[index]?.toLowerCase() !== 'authorization') continue
    if (found !== undefined) throw new OAuthError('invalid_request', 'there is more than one Authorization header')
    found = rawHeaders[index + 1]
  }
  return found
}

/** RFC 6749 section 2.3.1: credentials never travel in the URI, where logs keep them. */
function refuseCredentialsInUrl(url: string): void {
  if (url.includes('?') && /[?&](client_secret|client_assertion|access_token|token)=/i.test(url)) {
    throw new OAuthError(
      'invalid_request',
      'credentials belong in the body or the Authorization header, not in the URL',
    )
  }
}

const noStore = { 'cache-control': 'no-store', pragma: 'no-cache' }

function sendOAuthError(error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const told = asOAuthError(error)
  if (!told) {
    request.log.error({ error }, 'an OAuth request failed')
    return reply.code(500).headers(noStore).send({ error: 'server_error', error_description: 'the server failed' })
  }
  return reply.code(told.status).headers(told.headers).headers(noStore).send(told.toJSON())
}

function asOAuthError(error: unknown): OAuthError | undefined {
  if (error instanceof OAuthError) return error
  if (error instanceof StoreError || error instanceof LimitsError) {
    return new OAuthError('temporarily_unavailable', 'the server cannot record what it would issue: try again', {
      status: 503,
      headers: { 'retry-after': '1' },
    })
  }
  const { statusCode, code } = error as { statusCode?: number; code?: string }
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

async function until(time: number): Promise<void> {
  const wait = time - performance.now()
  if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait))
}
