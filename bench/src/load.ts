// A load generator in its own process: keeps N connections busy with one fixed request, one in flight on each.
import { connect, type Socket } from 'node:net'

const [port, connections, milliseconds, path, body] = process.argv.slice(2) as [string, string, string, string, string]
const request = Buffer.from(
  `POST ${path} HTTP/1.1\r\nHost: localhost:${port}\r\nContent-Type: application/x-www-form-urlencoded\r\n` +
    `Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
)
let answered = 0
let refused = 0
const endAt = performance.now() + Number(milliseconds)
const startedAt = performance.now()

await Promise.all(Array.from({ length: Number(connections) }, () => drive(connect(Number(port), '127.0.0.1'))))
console.log(JSON.stringify({ perSecond: (answered * 1000) / (performance.now() - startedAt), refused }))

function drive(socket: Socket): Promise<void> {
  socket.setNoDelay(true)
  return new Promise((resolve, reject) => {
    let pending = ''
    socket.on('error', reject)
    socket.on('connect', () => socket.write(request))
    socket.on('data', (chunk) => {
      pending += chunk.toString('latin1')
      if (!isWhole(pending)) return
      answered += 1
      if (!pending.startsWith('HTTP/1.1 200')) refused += 1
      pending = ''
      if (performance.now() < endAt) socket.write(request)
      else {
        socket.destroy()
        resolve()
      }
    })
  })
}

function isWhole(text: string): boolean {
  const head = text.indexOf('\r\n\r\n')
  if (head < 0) return false
  const length = /\r\ncontent-length: (\d+)/i.exec(text.slice(0, head))
  if (length) return text.length >= head + 4 + Number(length[1])
  return text.endsWith('0\r\n\r\n')
}
