import type { FindPeerCertificate } from '@countersign/guard'
import { OpenCounts } from '@countersign/limits/open-counts'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { VerificationLog } from '../audit/verification-log.ts'
import type { ClientAuthContext } from '../client-auth/client-auth-method.ts'
import { type RefusalContext, recordRefusal } from '../client-auth/record-refusal.ts'
import {
  certificateOf,
  holdRefusal,
  noStore,
  outcomeOf,
  refuseCredentialsInUrl,
  refuseOtherMethods,
  singleAuthorization,
} from '../http/oauth.ts'
import type { OwnTokenContext } from '../introspection/introspect.ts'
import { OAuthError } from '../token-endpoint/oauth-error.ts'
import { CursorError, type FeedPage, readFeed } from './feed.ts'
import { type AuthenticatedReader, authenticateReader } from './feed-reader.ts'
import { streamFeed } from './feed-stream.ts'
import type { Revocations } from './revocations.ts'

export interface FeedRoutesOptions {
  context: ClientAuthContext &
    RefusalContext &
    OwnTokenContext & { revocations: Revocations; verifications: Pick<VerificationLog, 'record'> }
  addressOf: (request: FastifyRequest) => string
  certificateOf: FindPeerCertificate
  onOutcome: (outcome: string) => void
  /** All together; default 256 */
  maximumStreams?: number
  /** Default 15,000 */
  heartbeatMilliseconds?: number
}

const path = '/oauth/revocations'
const defaultLimit = 500
const largestLimit = 1000
const streamsPerClient = 16

/** `GET /oauth/revocations`: pages of JSON, or server-sent events for who accepts them. */
export function revocationFeedRoutes(app: FastifyInstance, options: FeedRoutesOptions): void {
  const { context, onOutcome } = options
  const streams = new OpenStreams(options.maximumStreams ?? 256)
  app.addHook('preClose', async () => streams.stop())
  refuseOtherMethods(app, path, 'GET')
  app.get(path, async (request, reply) => {
    const arrivedAt = performance.now()
    try {
      const reader = await readerOf(request, options)
      const streaming = acceptsEvents(request)
      const page = await pageFor(request, reader, streaming, context)
      if (streaming) return await answerStream(reply, reader, page, streams, options)
      onOutcome('page')
      return reply.headers(noStore).send(page)
    } catch (error) {
      onOutcome(outcomeOf(error))
      await holdRefusal(error, arrivedAt)
      throw error
    }
  })
}

async function readerOf(
  request: FastifyRequest,
  { context, addressOf, certificateOf: findCertificate }: FeedRoutesOptions,
): Promise<AuthenticatedReader> {
  const address = addressOf(request)
  try {
    refuseCredentialsInUrl(request.url)
    const authorization = singleAuthorization(request.raw.rawHeaders)
    const certificate = certificateOf(request, findCertificate)
    const reader = await authenticateReader({ authorization, address, certificate }, context)
    const { clientId, method, credentialId } = reader
    await context.verifications.record({
      type: 'revocation_feed.read',
      outcome: 'success',
      client_id: clientId,
      address,
      method,
      credential: credentialId,
    })
    return reader
  } catch (error) {
    if (error instanceof OAuthError) await context.limits.afterFailure(address)
    const told = await recordRefusal(error, 'revocation_feed.refused', { address }, undefined, context)
    if (told instanceof OAuthError && told.code === 'invalid_client') {
      told.headers['www-authenticate'] = 'Bearer realm="countersign", Basic realm="countersign", charset="UTF-8"'
    }
    throw told
  }
}

async function pageFor(
  request: FastifyRequest,
  reader: AuthenticatedReader,
  streaming: boolean,
  { store, now }: FeedRoutesOptions['context'],
): Promise<FeedPage> {
  const query = request.query as Record<string, unknown>
  const cursor = (streaming ? request.headers['last-event-id'] : undefined) ?? query.cursor
  if (Array.isArray(cursor)) throw new OAuthError('invalid_request', 'the cursor is given more than once')
  try {
    return await readFeed(store, reader, {
      cursor: cursor ? String(cursor) : undefined,
      limit: limitOf(query),
      now: now(),
    })
  } catch (error) {
    if (!(error instanceof CursorError)) throw error
    throw new OAuthError('invalid_request', error.message, { status: error.code === 'too_old' ? 410 : 400 })
  }
}

function limitOf({ limit }: Record<string, unknown>): number {
  if (limit === undefined) return defaultLimit
  if (typeof limit !== 'string' || !/^\d{1,4}$/.test(limit) || Number(limit) < 1 || Number(limit) > largestLimit) {
    throw new OAuthError('invalid_request', `limit is a number of 1 to ${largestLimit}`)
  }
  return Number(limit)
}

function acceptsEvents({ headers }: FastifyRequest): boolean {
  return /(^|[\s,])text\/event-stream\b/i.test(headers.accept ?? '')
}

async function answerStream(
  reply: FastifyReply,
  reader: AuthenticatedReader,
  page: FeedPage,
  streams: OpenStreams,
  { context, onOutcome, heartbeatMilliseconds = 15_000 }: FeedRoutesOptions,
): Promise<FastifyReply> {
  const { stop, ended } = streams.open(reader.clientId)
  onOutcome('stream')
  reply.hijack()
  reply.raw.writeHead(200, {
    'content-type': 'text/event-stream',
    ...noStore,
    // A proxy that collects the answer before it passes it on would hold back revocations.
    'x-accel-buffering': 'no',
    // Kept alive, it would hold up the end of the server long after the stream has ended.
    connection: 'close',
  })
  await streamFeed(reply.raw, reader, page, stop, { ...context, heartbeatMilliseconds })
  ended()
  return reply
}

/** Bounded, so that readers cannot use up the server's sockets; stopped together when the server shuts down. */
class OpenStreams {
  readonly #counts: OpenCounts
  readonly #open = new Set<AbortController>()

  constructor(most: number) {
    this.#counts = new OpenCounts({ one: streamsPerClient, all: most })
  }

  /** @returns what tells the stream to stop, and what takes it off when it has ended */
  open(clientId: string): { stop: AbortSignal; ended: () => void } {
    const release = this.#counts.take(clientId)
    if (!release) {
      throw new OAuthError('temporarily_unavailable', 'too many streams are open: poll, or try again later', {
        status: 503,
        headers: { 'retry-after': '10' },
      })
    }
    const stop = new AbortController()
    this.#open.add(stop)
    const ended = () => {
      this.#open.delete(stop)
      release()
    }
    return { stop: stop.signal, ended }
  }

  stop(): void {
    for (const stop of this.#open) stop.abort()
  }
}
