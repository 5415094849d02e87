import { connect } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { basic, startTestServer, type TestClient, type TestServer } from '../server.fixture.ts'

let server: TestServer
let client: TestClient
const form = 'grant_type=client_credentials'
const type = 'Content-Type: application/x-www-form-urlencoded'

beforeAll(async () => {
  server = await startTestServer()
  client = await server.addClient('svc-a')
})
afterAll(() => server.close())

/** Writes bytes as they are and gives what came back until the other side closes or falls silent. */
function exchange(chunks: (string | Buffer)[], silenceMilliseconds = 400): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(Number(new URL(server.url).port), '127.0.0.1')
    let text = ''
    let timer: NodeJS.Timeout | undefined
    const done = () => {
      clearTimeout(timer)
      socket.destroy()
      resolve(text)
    }
    socket.on('data', (data) => {
      text += data.toString('latin1')
      clearTimeout(timer)
      timer = setTimeout(done, silenceMilliseconds)
    })
    socket.on('close', done)
    socket.on('error', () => {})
    timer = setTimeout(done, 5000)
    for (const chunk of chunks) socket.write(chunk)
  })
}

const statuses = (text: string) => [...text.matchAll(/^HTTP\/1\.1 (\d{3})/gm)].map(([, status]) => Number(status))
const post = (headers: string[], body: string) =>
  `POST /oauth/token HTTP/1.1\r\n${['Host: a', type, ...headers].join('\r\n')}\r\n\r\n${body}`
const length = (body: string) => `Content-Length: ${Buffer.byteLength(body)}`

async function isAlive() {
  expect((await server.post('/oauth/token', { grant_type: 'client_credentials' }, client)).status).toBe(200)
}

it('refuses two Authorization headers, whichever of them is right', async () => {
  const right = `Authorization: ${basic(client)}`
  const wrong = `Authorization: ${basic({ ...client, secret: 'wrong' })}`
  for (const headers of [
    [right, wrong],
    [wrong, right],
    [right, right.replace('Authorization', 'AUTHORIZATION')],
  ]) {
    const text = await exchange([post([...headers, length(form)], form)])
    expect(statuses(text)).toEqual([400])
    expect(text).toContain('"error":"invalid_request"')
    expect(text.toLowerCase()).toContain('cache-control: no-store')
  }
})

it('takes a chunked form, whole or byte by byte', async () => {
  const authorization = `Authorization: ${basic(client)}`
  const chunk = (text: string) => `${text.length.toString(16)}\r\n${text}\r\n`
  const whole = post([authorization, 'Transfer-Encoding: chunked'], `${chunk(form)}0\r\n\r\n`)
  expect(statuses(await exchange([whole]))).toEqual([200])
  const bytes = post([authorization, 'Transfer-Encoding: chunked'], `${[...form].map(chunk).join('')}0\r\n\r\n`)
  expect(statuses(await exchange(bytes.split('')))).toEqual([200])
})

describe('a body beyond all bounds is 413 in OAuth JSON', () => {
  it('by its announced length, before it is read', async () => {
    const text = await exchange([post(['Content-Length: 10485760'], 'grant_type=')])
    expect(statuses(text)).toEqual([413])
    expect(text).toContain('"error":"invalid_request"')
    expect(text.toLowerCase()).toContain('cache-control: no-store')
  })

  it('sent in whole: 10 MB', async () => {
    const text = await exchange([post(['Content-Length: 10485760'], ''), Buffer.alloc(10_485_760, 'a')])
    expect(statuses(text)).toEqual([413])
    await isAlive()
  })

  it('chunked, without a length', async () => {
    const text = await exchange([
      post(['Transfer-Encoding: chunked'], ''),
      `20000\r\n${'a'.repeat(131_072)}\r\n`,
      '0\r\n\r\n',
    ])
    expect(statuses(text)[0]).toBe(413)
    expect(text).toContain('"error":"invalid_request"')
    await isAlive()
  })

  it('through an ordinary client', async () => {
    const answer = await server.post('/oauth/token', `grant_type=${'x'.repeat(10_000_000)}`).catch(() => undefined)
    // A client that is still writing may see the connection close before it reads.
    if (answer) expect([answer.status, answer.json.error]).toEqual([413, 'invalid_request'])
    await isAlive()
  })
})

describe('a smuggled request', () => {
  const smuggled = 'GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n'

  it.each([
    ['length and chunks', ['Content-Length: 5', 'Transfer-Encoding: chunked'], `0\r\n\r\n${smuggled}`],
    ['two lengths', ['Content-Length: 0', `Content-Length: ${smuggled.length}`], smuggled],
    ['an unknown coding', ['Transfer-Encoding: xchunked'], `0\r\n\r\n${smuggled}`],
    ['chunked not last', ['Transfer-Encoding: chunked, identity'], `0\r\n\r\n${smuggled}`],
    ['a signed length', ['Content-Length: +0'], smuggled],
    ['a space before the colon', ['Content-Length : 5'], smuggled],
    ['a folded header', ['Transfer-Encoding:\r\n chunked'], `0\r\n\r\n${smuggled}`],
    ['a bare line feed', ['X: y\nTransfer-Encoding: chunked'], `0\r\n\r\n${smuggled}`],
    ['a chunk size beyond numbers', ['Transfer-Encoding: chunked'], `fffffffffffffffff\r\n${smuggled}`],
    ['a chunk extension with a line feed', ['Transfer-Encoding: chunked'], `2;\nxx\r\n4c\r\n0\r\n\r\n${smuggled}`],
    ['a NUL in a header', ['X: a\0b'], smuggled],
  ])('is not answered: %s', async (_what, headers, body) => {
    const text = await exchange([post(headers, body)])
    expect(statuses(text).filter((status) => status === 200)).toEqual([])
    expect(statuses(text).every((status) => status >= 400 && status < 500)).toBe(true)
    expect(text).not.toContain('"status":"ok"')
    await isAlive()
  })
})

it('survives headers beyond all bounds, half a request, and bytes that are no HTTP', async () => {
  expect(statuses(await exchange([post([`X: ${'a'.repeat(100_000)}`], '')]))).toEqual([431])
  expect(statuses(await exchange([post([`Authorization: Basic ${'A'.repeat(15_000)}`, length(form)], form)]))).toEqual([
    400,
  ])
  await exchange(['POST /oauth/token HT'], 50)
  await exchange([Buffer.from('160301020001000103030000', 'hex')], 50)
  await exchange(['\0\0\0\0\r\n\r\n'], 50)
  await exchange([post([length(form)], form.slice(0, 4))], 50)
  await isAlive()
})
