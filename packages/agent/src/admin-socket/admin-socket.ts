import type { IncomingMessage, ServerResponse } from 'node:http'
import type { AgentStatus } from '../agent.ts'
import { reasonOf } from '../agent-error.ts'
import { createServer } from '../node-http.ts'
import { listenOnSocketFile } from '../sockets/socket-file.ts'
import type { Explanation } from './explain.ts'

export interface AdminSocketOptions {
  readonly anyWay?: boolean | undefined
  readonly status: () => AgentStatus
  /** @throws when there is no such process */
  readonly explain: (pid: number) => Promise<Explanation>
}

/** What the socket's mode allows is the whole access control: the agent's own user and root. */
const ownerOnly = 0o600

/**
 * HTTP for the operator: `GET /v1/status` and `GET /v1/explain/PID`.
 * @returns a function that closes it
 */
export function serveAdminSocket(path: string, options: AdminSocketOptions): Promise<() => Promise<void>> {
  const server = createServer({ maxHeaderSize: 8_192, requestTimeout: 10_000 }, (request, response) => {
    answer(request, options).then(
      ({ status, body }) => send(response, status, body),
      (error) => send(response, 500, problem('the agent could not answer', reasonOf(error))),
    )
  })
  server.maxConnections = 50
  return listenOnSocketFile(server, path, { mode: ownerOnly, anyWay: options.anyWay }).then((close) => () => {
    server.closeAllConnections()
    return close()
  })
}

async function answer(
  request: IncomingMessage,
  options: AdminSocketOptions,
): Promise<{ status: number; body: object }> {
  request.resume()
  const { method, url = '' } = request
  if (method !== 'GET') return { status: 405, body: problem('only GET is answered here') }
  if (url === '/v1/status') return { status: 200, body: options.status() }
  const [, pid] = /^\/v1\/explain\/(\d{1,10})$/.exec(url) ?? []
  if (pid === undefined) return { status: 404, body: problem('there are /v1/status and /v1/explain/PID') }
  try {
    return { status: 200, body: await options.explain(Number(pid)) }
  } catch (error) {
    return { status: 404, body: problem(`process ${pid} cannot be looked at`, reasonOf(error)) }
  }
}

function problem(title: string, detail?: string): object {
  return detail === undefined ? { title } : { title, detail }
}

function send(response: ServerResponse, status: number, body: object): void {
  const type = status === 200 ? 'application/json' : 'application/problem+json'
  response.writeHead(status, { 'content-type': type, 'cache-control': 'no-store' })
  response.end(`${JSON.stringify('title' in body ? { type: 'about:blank', status, ...body } : body)}\n`)
}
