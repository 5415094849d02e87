import { connect } from 'node:net'

export interface RawAnswer {
  status: number
  headers: Record<string, string>
  body: string
}

/** One HTTP/1.1 request with exactly these header lines, which `fetch` would tidy up. */
export function rawRequest(
  origin: string,
  target: string,
  headerLines: readonly string[] = [],
  method = 'GET',
  body: string | Uint8Array = '',
): Promise<RawAnswer> {
  const lines = [`${method} ${target} HTTP/1.1`, `Host: ${new URL(origin).host}`, 'Connection: close', ...headerLines]
  return sendBytes(origin, [`${lines.join('\r\n')}\r\n\r\n`, body])
}

/** Writes these pieces, each in a packet of its own, and reads one answer until the other side closes. */
export async function sendBytes(origin: string, pieces: readonly (string | Uint8Array)[]): Promise<RawAnswer> {
  const { hostname, port } = new URL(origin)
  const socket = connect(Number(port), hostname).setNoDelay(true)
  const answered = read(socket)
  for (const piece of pieces) {
    if (socket.destroyed) break
    if (piece.length > 0) await new Promise((done) => socket.write(piece, 'latin1', done))
  }
  return parseAnswer(await answered)
}

async function read(socket: ReturnType<typeof connect>): Promise<string> {
  const chunks: Buffer[] = []
  try {
    for await (const chunk of socket) chunks.push(chunk as Buffer)
  } catch (error) {
    // Whoever is refused while still sending may find the connection reset; what was answered before that counts.
    if (chunks.length === 0) throw error
  }
  return Buffer.concat(chunks).toString('latin1')
}

function parseAnswer(text: string): RawAnswer {
  const end = text.indexOf('\r\n\r\n')
  const [statusLine, ...lines] = text.slice(0, end).split('\r\n')
  const headers: Record<string, string> = {}
  for (const line of lines) {
    const colon = line.indexOf(':')
    const name = line.slice(0, colon).toLowerCase()
    if (name in headers) throw new Error(`the answer has two ${name} headers`)
    headers[name] = line.slice(colon + 1).trim()
  }
  const rest = text.slice(end + 4)
  const body = headers['transfer-encoding'] === 'chunked' ? unchunk(rest) : rest
  return { status: Number(statusLine!.split(' ')[1]), headers, body }
}

function unchunk(text: string): string {
  const size = Number.parseInt(text, 16)
  if (!(size > 0)) return ''
  const start = text.indexOf('\r\n') + 2
  return text.slice(start, start + size) + unchunk(text.slice(start + size + 2))
}
