import { connect as connectHttp2, type IncomingHttpHeaders, type OutgoingHttpHeaders } from 'node:http2'
import { connect } from 'node:net'

/** What a call came to, as it stood in the headers and trailers. */
export interface RawAnswer {
  /** The gRPC status; undefined where the stream was reset. */
  readonly status: number | undefined
  readonly details: string
  readonly headers: IncomingHttpHeaders
  readonly reset: number
}

/** A gRPC message frame: flag, length, bytes. */
export function frame(message: Uint8Array, flag = 0, length = message.length): Buffer {
  const prefix = Buffer.alloc(5)
  prefix.writeUInt8(flag, 0)
  prefix.writeUInt32BE(length, 1)
  return Buffer.concat([prefix, message])
}

/** One call over HTTP/2 with headers and frames that gRPC clients refuse to send: lists are sent as several fields. */
export async function rawCall(
  address: string,
  path: string,
  headers: OutgoingHttpHeaders,
  frames: readonly Uint8Array[],
): Promise<RawAnswer> {
  const session = connectHttp2(`http://${address}`)
  const stream = session.request({
    ':method': 'POST',
    ':path': path,
    'content-type': 'application/grpc',
    te: 'trailers',
    ...headers,
  })
  const got: IncomingHttpHeaders = {}
  stream.on('response', (response) => Object.assign(got, response))
  stream.on('trailers', (trailers) => Object.assign(got, trailers))
  stream.on('error', () => {})
  for (const each of frames) stream.write(each)
  stream.end()
  stream.resume()
  await new Promise((done) => stream.once('close', done))
  session.destroy()
  const status = got['grpc-status']
  return {
    status: status === undefined ? undefined : Number(status),
    details: decodeURIComponent(String(got['grpc-message'] ?? '')),
    headers: got,
    reset: stream.rstCode,
  }
}

/**
 * One call as HTTP/2 frames written by hand, so that names may be in upper case. Resolves with the types of the frames
 * that came back until the stream or the connection ended.
 */
export async function bareCall(
  address: string,
  fields: readonly (readonly [string, string])[],
  body: Uint8Array,
): Promise<number[]> {
  const [host, port] = address.split(':')
  const socket = connect(Number(port), host)
  const block = Buffer.concat(fields.flatMap(([name, value]) => [Buffer.from([0]), text(name), text(value)]))
  socket.write(
    Buffer.concat([
      Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
      http2Frame(frameTypes.settings, 0, 0),
      http2Frame(frameTypes.headers, endHeaders, 1, block),
      http2Frame(frameTypes.data, endStream, 1, body),
    ]),
  )
  const seen: number[] = []
  let pending = Buffer.alloc(0)
  socket.on('data', (chunk) => {
    pending = Buffer.concat([pending, chunk])
    while (pending.length >= 9 && pending.length >= 9 + pending.readUIntBE(0, 3)) {
      const type = pending.readUInt8(3)
      seen.push(type)
      const ends = type === frameTypes.headers && (pending.readUInt8(4) & endStream) !== 0
      if (type === frameTypes.reset || type === frameTypes.goaway || ends) socket.destroy()
      pending = pending.subarray(9 + pending.readUIntBE(0, 3))
    }
  })
  await new Promise((done) => socket.once('close', done))
  return seen
}

export const frameTypes = { data: 0, headers: 1, reset: 3, settings: 4, goaway: 7 } as const
const endStream = 1
const endHeaders = 4

function http2Frame(type: number, flags: number, stream: number, payload: Uint8Array = Buffer.alloc(0)): Buffer {
  const head = Buffer.alloc(9)
  head.writeUIntBE(payload.length, 0, 3)
  head.writeUInt8(type, 3)
  head.writeUInt8(flags, 4)
  head.writeUInt32BE(stream, 5)
  return Buffer.concat([head, payload])
}

/** An HPACK string without Huffman coding (RFC 7541 section 5.2). */
function text(value: string): Buffer {
  const bytes = Buffer.from(value, 'latin1')
  if (bytes.length < 127) return Buffer.concat([Buffer.from([bytes.length]), bytes])
  const length: number[] = [127]
  let rest = bytes.length - 127
  while (rest >= 128) {
    length.push((rest % 128) | 128)
    rest = Math.floor(rest / 128)
  }
  return Buffer.concat([Buffer.from([...length, rest]), bytes])
}
