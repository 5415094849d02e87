import type { ClientRequest, IncomingMessage } from 'node:http'

/**
 * Sends a request that has no body and reads the JSON of its answer.
 *
 * @param limits.cures what to say of other statuses
 * @throws Error naming `who`, for any other status than 200, what is too large, too slow, or not JSON
 */
export async function readJson(
  request: ClientRequest,
  who: string,
  limits: { maxBytes: number; timeoutMilliseconds: number; cures?: Readonly<Record<number, string>> },
): Promise<unknown> {
  let tooSlow: string | undefined
  const timer = setTimeout(() => {
    tooSlow = `no answer in ${limits.timeoutMilliseconds} ms`
    request.destroy()
  }, limits.timeoutMilliseconds)
  // Once answered, a request that is cut off has nobody else who hears of it; the reader of the answer is told.
  request.on('error', () => {})
  try {
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      request.once('response', resolve).once('error', reject).end()
    })
    const { statusCode = 0 } = response
    if (statusCode !== 200) {
      const cure = limits.cures?.[statusCode]
      throw new Error(`it answered ${statusCode}${cure === undefined ? '' : `: ${cure}`}`)
    }
    const chunks: Buffer[] = []
    let bytes = 0
    for await (const chunk of response as AsyncIterable<Buffer>) {
      bytes += chunk.length
      if (bytes > limits.maxBytes) throw new Error(`its answer is larger than ${limits.maxBytes} bytes`)
      chunks.push(chunk)
    }
    return JSON.parse(Buffer.concat(chunks).toString('utf8'))
  } catch (error) {
    throw new Error(`${who} cannot be asked: ${tooSlow ?? (error as Error).message}`, { cause: error })
  } finally {
    clearTimeout(timer)
    request.destroy()
  }
}
