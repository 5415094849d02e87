import { createServer, type IncomingMessage } from 'node:http'
import { listen } from '../world.fixture.ts'

/** Somebody else's HTTP server: remembers what it got. */
export interface Outside {
  readonly origin: string
  readonly got: { method: string; url: string; headers: IncomingMessage['headers']; body: string }[]
  answer: (request: IncomingMessage) => { status: number; headers?: Record<string, string>; body?: string }
  close(): void
}

export async function startOutside(): Promise<Outside> {
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk)
    const { method = '', url = '', headers } = request
    self.got.push({ method, url, headers, body: Buffer.concat(chunks).toString() })
    const { status, headers: given, body } = self.answer(request)
    response.writeHead(status, { 'content-type': 'application/json', ...given }).end(body)
  })
  const port = await listen(server)
  const answer = () => ({ status: 200, body: '{"ok":true}' })
  const self: Outside = {
    origin: `http://127.0.0.1:${port}`,
    got: [],
    answer,
    close: () => void server.close().closeAllConnections(),
  }
  return self
}
