import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { encodeCursor } from '../admin/paging.ts'
import type { Authority } from '../authority.ts'
import { type EventFollower, followEvents } from './follow-events.ts'
import { type EventFilter, type EventPlace, placeOf, viewEvent } from './read-events.ts'

const heartbeatMilliseconds = 15_000
/** What another replica wrote is found by asking. */
const askMilliseconds = 1_000
/** However busy the log is, a stream reads it and looks at its token no more often than this. */
const restMilliseconds = 100
/** A reader who takes nothing for this long is gone, whatever his socket says. */
const stuckMilliseconds = 30_000
export const mostStreams = 50

export interface StreamRequest {
  filter: EventFilter
  from: EventPlace | string | undefined
  /** Asked again before every delivery: a token that expires or is revoked ends the stream */
  isStillAdmitted: () => Promise<boolean>
}

/** Server-sent events of the audit log. All is read from the store, at the pace of each reader: nothing piles up. */
export class EventStreams {
  readonly #authority: Authority
  readonly #stopping = new AbortController()
  #open = 0

  constructor(authority: Authority) {
    this.#authority = authority
  }

  get isFull(): boolean {
    return this.#open >= mostStreams
  }

  /** Ends every stream: readers come back with Last-Event-ID, here or to another replica. */
  stop(): void {
    this.#stopping.abort()
  }

  /** Writes to the response until either side ends it. */
  async serve(response: ServerResponse, request: StreamRequest): Promise<void> {
    this.#open += 1
    const ended = endOf(response, this.#stopping.signal)
    try {
      const follower = await followEvents(this.#authority.store, request.filter, request.from)
      response.writeHead(200, {
        'content-type': 'text/event-stream',
        'cache-control': 'no-store',
        'x-accel-buffering': 'no',
        // Kept alive, it would hold up the end of the server long after the stream has ended.
        connection: 'close',
      })
      response.write('retry: 2000\n\n')
      await this.#deliver(response, follower, request, ended)
    } finally {
      this.#open -= 1
      response.end()
    }
  }

  async #deliver(
    response: ServerResponse,
    follower: EventFollower,
    request: StreamRequest,
    ended: AbortSignal,
  ): Promise<void> {
    let spokeAt = performance.now()
    while (!ended.aborted && (await request.isStillAdmitted())) {
      const woken = this.#somethingNew(ended)
      for await (const rows of follower.read()) {
        const text = rows.map((row) => `id: ${encodeCursor(placeOf(row))}\ndata: ${JSON.stringify(viewEvent(row))}\n\n`)
        if (!response.write(text.join(''))) await drained(response, ended)
        if (ended.aborted) return
        spokeAt = performance.now()
      }
      if (performance.now() - spokeAt >= heartbeatMilliseconds) {
        response.write(': still here\n\n')
        spokeAt = performance.now()
      }
      await Promise.all([woken, sleep(restMilliseconds)])
    }
  }

  /** Listens from before the store is read, so that what is written in between is not slept through. */
  #somethingNew(ended: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer)
        forget()
        ended.removeEventListener('abort', done)
        resolve()
      }
      const timer = setTimeout(done, askMilliseconds)
      const forget = this.#authority.audit.onCommitted(() => setImmediate(done))
      ended.addEventListener('abort', done)
    })
  }
}

async function drained(response: ServerResponse, ended: AbortSignal): Promise<void> {
  const stuck = setTimeout(() => response.destroy(), stuckMilliseconds)
  await once(response, 'drain', { signal: ended }).catch(() => {})
  clearTimeout(stuck)
}

function endOf(response: ServerResponse, stopping: AbortSignal): AbortSignal {
  const gone = new AbortController()
  response.on('close', () => gone.abort())
  response.on('error', () => gone.abort())
  return AbortSignal.any([gone.signal, stopping])
}
