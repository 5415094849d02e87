import { connect, type Socket } from 'node:net'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { startTestServer, type TestServer } from '../server.fixture.ts'

let server: TestServer
let dripping: NodeJS.Timeout[] = []

beforeEach(async () => {
  server = await startTestServer({ app: { arrival: { headers: 300, whole: 600, look: 50 } } })
})
afterEach(async () => {
  for (const timer of dripping) clearInterval(timer)
  dripping = []
  await server.close()
})

const body =
  'POST /oauth/token HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 9999\r\n\r\n'

it.each([
  ['headers', 'POST /oauth/token HTTP/1.1\r\nHost: a\r\n', 'X-A: b\r\n'],
  ['body', body, 'a'],
])('closes a connection whose %s never end, however steadily they drip', async (_what, start, drop) => {
  const sockets = Array.from({ length: 50 }, () => drip(start, drop))
  for (const answer of await Promise.all(sockets)) expect(answer).toMatch(/^(HTTP\/1\.1 (408|400) |$)/)
  expect((await fetch(`${server.url}/healthz`)).status).toBe(200)
})

it('closes a connection that says nothing at all', async () => {
  expect(await drip('', undefined)).toMatch(/^(HTTP\/1\.1 408 |$)/)
})

/** What came back until the server closed the connection. */
function drip(start: string, drop: string | undefined): Promise<string> {
  const socket: Socket = connect(Number(new URL(server.url).port), new URL(server.url).hostname)
  let answer = ''
  socket.on('connect', () => socket.write(start))
  socket.on('data', (chunk) => (answer += chunk.toString('latin1')))
  socket.on('error', () => {})
  if (drop) dripping.push(setInterval(() => socket.writable && socket.write(drop), 40))
  return new Promise((resolve) => socket.on('close', () => resolve(answer)))
}
