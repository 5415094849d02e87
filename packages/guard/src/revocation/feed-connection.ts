import { boundedBody } from '@countersign/outbound/bounded-body'
import { parseJson } from '@countersign/tokens'
import { readEvents, type StreamEvent } from './event-stream.ts'
import { type RevocationPage, readRevocationPage } from './revocation-item.ts'

export interface FeedConnection {
  /** One page after `cursor`; `gone` when the server no longer has that place (410). */
  page(cursor: string | undefined, signal: AbortSignal): Promise<RevocationPage | 'gone'>
  /** Events after `cursor` for as long as the server sends; a silence of 45 s ends it, since heartbeats come every 15. */
  events(cursor: string, signal: AbortSignal, onBytes: () => void): AsyncGenerator<StreamEvent>
}

export interface FeedConnectionOptions {
  readonly url: string
  readonly authorization?: () => string | Promise<string>
  readonly fetch: typeof fetch
}

const answerMilliseconds = 10_000
const silenceMilliseconds = 45_000
const largestPage = 8 * 1024 * 1024

/** Speaks to `GET /oauth/revocations`. Redirects are refused, so that the credential goes nowhere else. */
export function connectFeed(options: FeedConnectionOptions): FeedConnection {
  return {
    async page(cursor, signal) {
      const url = new URL(options.url)
      if (cursor !== undefined) url.searchParams.set('cursor', cursor)
      const response = await ask(
        url,
        { accept: 'application/json' },
        AbortSignal.any([signal, AbortSignal.timeout(answerMilliseconds)]),
      )
      if (response.status === 410) {
        await response.body?.cancel()
        return 'gone'
      }
      const tooLarge = () => new Error('a page of the revocation feed is too large')
      const { body: stream } = await checked(response, 'application/json')
      const body = await boundedBody(stream, largestPage, tooLarge)
      return readRevocationPage(parseJson(body, { maximumBytes: largestPage }))
    },
    async *events(cursor, signal, onBytes) {
      const silence = new AbortController()
      const timer = setTimeout(() => silence.abort(new Error('the feed fell silent')), silenceMilliseconds)
      try {
        const headers = { accept: 'text/event-stream', 'last-event-id': cursor }
        const response = await checked(
          await ask(new URL(options.url), headers, AbortSignal.any([signal, silence.signal])),
          'text/event-stream',
        )
        yield* readEvents(
          noticing(response.body ?? [], () => {
            timer.refresh()
            onBytes()
          }),
        )
      } finally {
        clearTimeout(timer)
      }
    },
  }

  async function ask(url: URL, headers: Record<string, string>, signal: AbortSignal): Promise<Response> {
    const authorization = await options.authorization?.()
    return options.fetch(url, {
      headers: { ...headers, ...(authorization === undefined ? {} : { authorization }) },
      redirect: 'error',
      signal,
    })
  }
}

async function checked(response: Response, type: string): Promise<Response> {
  const given = response.headers.get('content-type')?.split(';', 1)[0]?.trim().toLowerCase()
  if (response.status === 200 && given === type) return response
  await response.body?.cancel()
  if (response.status !== 200) throw new Error(`the revocation feed answered ${response.status}`)
  throw new Error(`the revocation feed is not served as ${type}`)
}

async function* noticing(
  chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  notice: () => void,
): AsyncGenerator<Uint8Array> {
  for await (const chunk of chunks) {
    notice()
    yield chunk
  }
}
