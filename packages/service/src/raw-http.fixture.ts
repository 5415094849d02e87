import { connect } from 'node:net'
import type { AnyJson } from './world.fixture.ts'

export interface RawAnswer {
  readonly status: number
  readonly text: string
  readonly body: AnyJson
}

/** Sends exactly these bytes, which no HTTP client would, and reads until the service closes. */
export async function rawRequest(
  origin: string,
  head: readonly string[],
  content: string | Buffer = '',
  authority = new URL(origin).host,
): Promise<RawAnswer> {
  const { hostname, port } = new URL(origin)
  const socket = connect(Number(port), hostname)
  const [requestLine, ...headers] = head
  const lines = [requestLine!, `Host: ${authority}`, 'Connection: close', ...headers, '', '']
  socket.on('error', () => {})
  socket.write(Buffer.concat([Buffer.from(lines.join('\r\n'), 'latin1'), Buffer.from(content)]))
  const chunks: Buffer[] = []
  try {
    for await (const chunk of socket) chunks.push(chunk as Buffer)
  } catch {
    // A reset after the answer is an answer.
  }
  const text = Buffer.concat(chunks)
    .toString('utf8')
    .replace(/^HTTP\/1\.1 100 Continue\r\n\r\n/, '')
  const isJson = /^content-type: application\/(problem\+)?json/im.test(text)
  const json = text.slice(text.indexOf('{'), text.lastIndexOf('}') + 1)
  return { status: Number(text.split(' ')[1]), text, body: isJson && json !== '' ? JSON.parse(json) : undefined }
}
