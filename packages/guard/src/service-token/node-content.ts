import type { IncomingMessage } from 'node:http'
import type { Http2ServerRequest } from 'node:http2'
import { contentAlreadyRead, contentIncomplete, contentTooLarge } from './content-errors.ts'

/** A request of node:http, or of the compatibility API of node:http2. */
export type NodeRequest = IncomingMessage | Http2ServerRequest

/**
 * Reads the content of a request and puts the same bytes back, so that whatever parser comes next sees exactly what was
 * checked. May be asked again. Rejects with GuardError `body_too_large`, `body_already_read` or `invalid_request`.
 */
export function readNodeContent(request: NodeRequest, maximumBytes: number): Promise<Buffer> {
  const reading = contents.get(request) ?? readOnce(request, maximumBytes)
  contents.set(request, reading)
  return reading.then((content) => {
    if (content.length > maximumBytes) throw contentTooLarge(maximumBytes)
    return content
  })
}

const contents = new WeakMap<NodeRequest, Promise<Buffer>>()

async function readOnce(request: NodeRequest, maximumBytes: number): Promise<Buffer> {
  if (request.readableEnded && !request.readableDidRead) return Buffer.alloc(0)
  if (request.readableDidRead || isBeingRead(request)) throw contentAlreadyRead()
  if (Number(request.headers['content-length'] ?? 0) > maximumBytes) throw contentTooLarge(maximumBytes)
  return collect(request, maximumBytes)
}

function isBeingRead(request: NodeRequest): boolean {
  return request.readableFlowing === true || request.listenerCount('data') > 0 || request.listenerCount('readable') > 0
}

function collect(request: NodeRequest, maximumBytes: number): Promise<Buffer> {
  return new Promise((fulfil, reject) => {
    const chunks: Buffer[] = []
    let size = 0

    function take(): void {
      while (request.readableLength > 0) {
        const chunk = request.read() as Buffer
        chunks.push(chunk)
        size += chunk.length
        if (size > maximumBytes) {
          finish(() => reject(contentTooLarge(maximumBytes)))
          return
        }
      }
      if (!hasEnded(request)) return
      const content = Buffer.concat(chunks, size)
      // In the same turn as the last read, before 'end' can be emitted: the stream is then as if nobody had read it.
      if (size > 0) request.unshift(content)
      finish(() => fulfil(content))
    }

    function broken(cause?: unknown): void {
      finish(() => reject(contentIncomplete(cause)))
    }

    function finish(settle: () => void): void {
      request.off('readable', take).off('error', broken).off('close', broken)
      settle()
    }

    // Listening for 'readable' would make a stream without content end before anybody listens for that.
    if (hasEnded(request)) take()
    else if (request.destroyed) broken()
    else request.on('error', broken).on('close', broken).on('readable', take)
  })
}

/** Whether all has come, read or not. Only the stream's state says so before its 'end' is emitted. */
function hasEnded(request: NodeRequest): boolean {
  const { _readableState: state } = request as unknown as { _readableState: { ended: boolean } }
  return state.ended
}
