import type { RequestLike } from './bearer-token.ts'
import { type NodeRequest, readNodeContent } from './service-token/node-content.ts'

/** A request of node:http as a guard looks at it. Frameworks that cut `url` short keep the whole one in `originalUrl`. */
export function nodeRequest(request: NodeRequest): RequestLike {
  return {
    headers: request.headers,
    rawHeaders: request.rawHeaders,
    url: (request as { originalUrl?: string }).originalUrl ?? request.url,
    method: request.method,
    socket: request.socket,
    incoming: request,
    readContent: (maximumBytes) => readNodeContent(request, maximumBytes),
  }
}
