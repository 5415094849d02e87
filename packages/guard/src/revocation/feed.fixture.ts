import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { sendJson } from '../issuer.fixture.ts'
import { closing, listening } from '../listening.fixture.ts'

export interface TestFeed {
  readonly url: string
  /** Every request, as `page CURSOR` or `stream CURSOR`. */
  readonly asked: string[]
  readonly authorizations: (string | undefined)[]
  pageSize: number
  streaming: boolean
  /** Cursors below it are answered with 410. */
  oldest: number
  answer: ((request: IncomingMessage, response: ServerResponse) => void) | undefined
  /** Adds an entry, and sends it to who listens. */
  revoke(item: Record<string, unknown>): void
  /** Writes to who listens. */
  write(text: string): void
  hangUp(): void
  stop(): Promise<void>
}

/** The server's `GET /oauth/revocations`, as the contract has it, on a real socket. */
export async function startFeed(): Promise<TestFeed> {
  const items: Record<string, unknown>[] = []
  const listeners = new Set<ServerResponse>()
  const server = createServer((request, response) => {
    self.authorizations.push(request.headers.authorization)
    const streams = request.headers.accept === 'text/event-stream'
    const url = new URL(request.url!, 'http://localhost')
    const cursor = (streams ? request.headers['last-event-id'] : url.searchParams.get('cursor')) ?? undefined
    self.asked.push(`${streams ? 'stream' : 'page'} ${cursor ?? '-'}`)
    if (self.answer !== undefined) return self.answer(request, response)
    const from = Number(cursor ?? self.oldest)
    if (from < self.oldest) return response.writeHead(410).end()
    if (!streams) {
      const page = items.slice(from, from + self.pageSize)
      const next = from + page.length
      return sendJson(response, { items: page, next: String(next), has_more: next < items.length })
    }
    if (!self.streaming) return response.writeHead(406).end()
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    response.write(': hello\n\n')
    for (const [index, item] of items.slice(from).entries()) response.write(eventOf(item, from + index + 1))
    listeners.add(response)
    response.on('close', () => listeners.delete(response))
  })
  const origin = await listening(server)
  const self: TestFeed = {
    url: `${origin}/oauth/revocations`,
    asked: [],
    authorizations: [],
    pageSize: 100,
    streaming: true,
    oldest: 0,
    answer: undefined,
    revoke(item) {
      items.push({ revision: items.length + 1, ...item })
      for (const listener of listeners) listener.write(eventOf(items.at(-1)!, items.length))
    },
    write(text) {
      for (const listener of listeners) listener.write(text)
    },
    hangUp() {
      for (const listener of listeners) listener.destroy()
    },
    stop: () => closing(server),
  }
  return self
}

function eventOf(item: Record<string, unknown>, cursor: number): string {
  return `event: revocation\nid: ${cursor}\ndata: ${JSON.stringify(item)}\n\n`
}
