import type { IncomingMessage } from 'node:http'
import { Problem } from '../problem.ts'

/**
 * The content of a request, exactly as it came (transfer coding removed, content coding kept), read once however often
 * it is asked for. Rejects with Problem 413 `too_large` beyond `maximumBytes`, 400 `aborted` when it does not come whole.
 */
export function contentOf(request: IncomingMessage, maximumBytes: number): () => Promise<Buffer> {
  let reading: Promise<Buffer> | undefined
  return () => {
    reading ??= read(request, maximumBytes)
    return reading
  }
}

async function read(request: IncomingMessage, maximumBytes: number): Promise<Buffer> {
  if (Number(request.headers['content-length'] ?? 0) > maximumBytes) throw tooLarge(maximumBytes)
  const chunks: Buffer[] = []
  let length = 0
  return new Promise((resolve, reject) => {
    request.on('data', (chunk: Buffer) => {
      length += chunk.length
      if (length > maximumBytes) {
        request.pause().removeAllListeners('data')
        reject(tooLarge(maximumBytes))
      } else chunks.push(chunk)
    })
    request.once('end', () => resolve(Buffer.concat(chunks)))
    request.once('error', () => reject(aborted))
    request.once('close', () => reject(aborted))
  })
}

const aborted = new Problem(400, 'aborted', 'the request ended before its content was whole')

function tooLarge(maximumBytes: number): Problem {
  return new Problem(413, 'too_large', `the content of a request may have at most ${maximumBytes} bytes here`)
}
