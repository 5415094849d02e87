import { createServer, type IncomingMessage, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface FakeServer extends AsyncDisposable {
  /** Without a slash at the end. */
  origin: string
}

/** A real HTTP server on a port of its own. */
export async function startServer(listener: RequestListener, host = '127.0.0.1'): Promise<FakeServer> {
  const server = createServer(listener)
  await new Promise<void>((resolve) => server.listen(0, host, resolve))
  const { port } = server.address() as AddressInfo
  return {
    origin: `http://${host}:${port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

interface ReceivedTokenRequest {
  headers: IncomingMessage['headers']
  form: URLSearchParams
  /** From 1 up. */
  count: number
}

export interface FakeAnswer {
  status?: number
  headers?: Record<string, string>
  body?: unknown
  /** Never answers. */
  hangs?: boolean
  /** Cuts the connection. */
  breaks?: boolean
}

export interface FakeTokenServer extends FakeServer {
  issuer: string
  requests: ReceivedTokenRequest[]
  /** What the token endpoint answers from now on. */
  answer: (request: ReceivedTokenRequest) => FakeAnswer | Promise<FakeAnswer>
  /** What the metadata says beyond the usual. */
  metadata: Record<string, unknown>
  metadataStatus: number
  metadataRequests: number
}

/** A token server that says what a test tells it to; by default it issues `token-1`, `token-2`, ... */
export async function startTokenServer(): Promise<FakeTokenServer> {
  const server = await startServer(async (request, response) => {
    if (request.url === '/.well-known/oauth-authorization-server') {
      fake.metadataRequests++
      response.writeHead(fake.metadataStatus, { location: `${fake.issuer}elsewhere` })
      return response.end(
        JSON.stringify({ issuer: fake.issuer, token_endpoint: `${fake.issuer}oauth/token`, ...fake.metadata }),
      )
    }
    const form = new URLSearchParams(await bodyOf(request))
    const received = { headers: request.headers, form, count: fake.requests.length + 1 }
    fake.requests.push(received)
    const { status = 200, headers, body, hangs, breaks } = await fake.answer(received)
    if (breaks) return request.socket.destroy()
    if (hangs) return
    response.writeHead(status, { 'content-type': 'application/json', ...headers })
    response.end(typeof body === 'string' || Buffer.isBuffer(body) ? body : JSON.stringify(body))
  })
  const fake: FakeTokenServer = {
    ...server,
    issuer: `${server.origin}/`,
    requests: [],
    metadata: {},
    metadataStatus: 200,
    metadataRequests: 0,
    answer: ({ count }) => issued(count),
  }
  return fake
}

export function issued(count: number, members: Record<string, unknown> = {}): FakeAnswer {
  return { body: { access_token: `token-${count}`, token_type: 'Bearer', expires_in: 3600, ...members } }
}

export function refused(error: string, status = 400, description?: string): FakeAnswer {
  return { status, body: { error, error_description: description } }
}

export async function bodyOf(request: IncomingMessage): Promise<string> {
  const parts: Buffer[] = []
  for await (const part of request) parts.push(part)
  return Buffer.concat(parts).toString()
}

/** Two clocks that stand still until told otherwise, and a wait that moves them. */
export function createClock(start = 1_800_000_000_000) {
  const clock = {
    wall: start,
    monotonic: 1_000,
    waits: [] as number[],
    now: () => clock.wall,
    monotonicNow: () => clock.monotonic,
    random: () => 0.5,
    pass(milliseconds: number) {
      clock.wall += milliseconds
      clock.monotonic += milliseconds
    },
    wait: async (milliseconds: number) => {
      clock.waits.push(milliseconds)
      clock.pass(milliseconds)
    },
  }
  return clock
}

/** The error that a promise rejects with; fails where it does not. */
export async function failureOf(
  promise: Promise<unknown>,
): Promise<Error & { code?: string; [name: string]: unknown }> {
  try {
    await promise
  } catch (error) {
    return error as Error & { code?: string; [name: string]: unknown }
  }
  throw new Error('expected a failure, and it worked')
}
