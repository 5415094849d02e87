import type { ServerResponse } from 'node:http'
import type { Store } from '../storage/store.ts'
import { cursorAfter, type FeedPage, readFeed } from './feed.ts'
import type { AuthenticatedReader } from './feed-reader.ts'
import type { Revocations } from './revocations.ts'

export interface StreamContext {
  store: Store
  revocations: Pick<Revocations, 'onRevoked'>
  /** Seconds since the epoch */
  now: () => number
  heartbeatMilliseconds: number
}

const pageSize = 500
/** A reader who takes nothing for this long is gone; what it has not read must not pile up. */
const stuckMilliseconds = 30_000

/**
 * Writes the feed as server-sent events until the reader goes, `stop` is aborted, the reader may not read any more, or
 * the store is away (it comes back with Last-Event-ID). Resolves then.
 */
export async function streamFeed(
  response: ServerResponse,
  reader: AuthenticatedReader,
  first: FeedPage,
  stop: AbortSignal,
  context: StreamContext,
): Promise<void> {
  const ended = AbortSignal.any([stop, whenClosed(response)])
  const bell = new Bell(ended)
  const stopListening = context.revocations.onRevoked(() => bell.ring())
  const heartbeat = setInterval(() => bell.ring('heartbeat'), context.heartbeatMilliseconds)
  heartbeat.unref()
  try {
    await write(response, 'retry: 2000\n\n', ended)
    let page = first
    let allowed: AuthenticatedReader | undefined = reader
    while (!ended.aborted && allowed) {
      await write(response, page.items.map((item) => eventText(page, item)).join(''), ended)
      if (!page.has_more && (await bell.rung()) === 'heartbeat') {
        allowed = await allowed.again()
        await write(response, ': heartbeat\n\n', ended)
      }
      if (allowed)
        page = await readFeed(context.store, allowed, { cursor: page.next, limit: pageSize, now: context.now() })
    }
  } catch {
    // The status line is long gone: ending is all that can be said.
  } finally {
    clearInterval(heartbeat)
    stopListening()
    response.end()
  }
}

function eventText(page: FeedPage, item: FeedPage['items'][number]): string {
  return `event: revocation\nid: ${cursorAfter(page, item)}\ndata: ${JSON.stringify(item)}\n\n`
}

async function write(response: ServerResponse, text: string, ended: AbortSignal): Promise<void> {
  if (text === '' || ended.aborted || response.write(text)) return
  const stuck = setTimeout(() => response.destroy(), stuckMilliseconds)
  await new Promise<void>((resolve) => {
    response.once('drain', resolve)
    ended.addEventListener('abort', () => resolve(), { once: true })
  })
  clearTimeout(stuck)
}

function whenClosed(response: ServerResponse): AbortSignal {
  const controller = new AbortController()
  response.once('close', () => controller.abort())
  if (response.closed) controller.abort()
  return controller.signal
}

/** Wakes one sleeper; a ring while nobody sleeps is kept. */
class Bell {
  #kept: 'news' | 'heartbeat' | undefined
  #wake: (() => void) | undefined

  constructor(ended: AbortSignal) {
    ended.addEventListener('abort', () => this.ring(), { once: true })
  }

  ring(why: 'news' | 'heartbeat' = 'news'): void {
    if (this.#kept !== 'heartbeat') this.#kept = why
    this.#wake?.()
  }

  async rung(): Promise<'news' | 'heartbeat'> {
    if (!this.#kept)
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    this.#wake = undefined
    const why = this.#kept ?? 'news'
    this.#kept = undefined
    return why
  }
}
