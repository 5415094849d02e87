import { connect } from 'node:net'
import { httpBinding } from '@countersign/tokens'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { rawRequest } from '../raw-http.fixture.ts'
import { type AnyJson, createWorld, type StartedService, type World } from '../world.fixture.ts'

/** What a signed request can carry that its binding, or the reading of it, might miss. */
let world: World
let service: StartedService
let handled: AnyJson[]

const edge = (path: string, functionName: string) => ({
  edgeControllerOptions: { functionName, loginRequired: false, M2MAllowed: true },
  edgeRestSettings: { path, method: 'POST' },
})

beforeAll(async () => {
  world = await createWorld()
  service = await world.start(
    'inventory',
    {
      businessApis: [{ name: 'decreaseStock', authOptions: { loginRequired: false, M2MAllowed: true } }],
      edgeControllers: [edge('/hooks', 'take')],
    },
    {
      handlers: { decreaseStock: (input) => handled.push(input) },
      functions: { take: (request) => void handled.push(request) },
      environment: { MAX_BODY: '100000' },
    },
  )
})
afterAll(() => world[Symbol.asyncDispose]())
beforeEach(() => {
  handled = []
})

const tokenFor = (target: string, content: string | Buffer = '') => {
  const binding = httpBinding({ method: 'POST', target, content: Buffer.from(content) })
  return world.signer('order').sign({ audience: 'inventory-service', binding })
}
const head = (target: string, content: string | Buffer, signed = content) => [
  `POST ${target} HTTP/1.1`,
  `X-M2M-Token: ${tokenFor(target, signed)}`,
  'Content-Type: application/json',
  `Content-Length: ${Buffer.byteLength(content)}`,
]
const send = (target: string, content: string | Buffer) => rawRequest(service.url, head(target, content), content)

describe('signed content that is too long', () => {
  it('is answered with 413, announced or not, and the connection ends', async () => {
    const content = 'x'.repeat(100_001)
    const announced = await send('/decreaseStock', content)
    expect(announced).toMatchObject({ status: 413 })
    expect(announced.text).toMatch(/^connection: close/im)
    const chunked = ['POST /decreaseStock HTTP/1.1', `X-M2M-Token: ${tokenFor('/decreaseStock', content)}`]
    const chunk = `${content.length.toString(16)}\r\n${content}\r\n0\r\n\r\n`
    expect(await rawRequest(service.url, [...chunked, 'Transfer-Encoding: chunked'], chunk)).toMatchObject({
      status: 413,
    })
    expect(handled).toEqual([])
  })
})

describe('signed JSON that readers may read differently', () => {
  it.each([
    ['a name twice', '{"quantity":1,"quantity":1000}'],
    ['a name twice, once escaped', '{"quantity":1,"quantit\\u0079":1000}'],
    ['a byte order mark', '\ufeff{"quantity":1}'],
    ['__proto__', '{"__proto__":{"quantity":1}}'],
    ['__proto__ further down', '{"a":[{"__proto__":{"quantity":1}}]}'],
    ['bytes that are not UTF-8', Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d])],
    ['an overlong form of a quote', Buffer.from([0x7b, 0xc0, 0xa2, 0x61, 0xc0, 0xa2, 0x3a, 0x31, 0x7d])],
    ['half of a surrogate pair', '{"a":"\\ud800"}'],
    ['a number beyond all numbers', '{"quantity":1e999}'],
    ['a hundred levels', `${'{"a":'.repeat(100)}1${'}'.repeat(100)}`],
    ['ten thousand levels', `{"a":${'['.repeat(10_000)}${']'.repeat(10_000)}}`],
    ['something behind it', '{"quantity":1}{"quantity":2}'],
    ['UTF-16', Buffer.from('{"quantity":1}', 'utf16le')],
  ])('is refused with %s, though its token is right', async (_what, content) => {
    const { status, body } = await send('/decreaseStock', content)
    expect({ status, code: body.code }).toEqual({ status: 400, code: 'malformed_json' })
    expect(handled).toEqual([])
  })
})

describe('what only the kit may say', () => {
  it('is not taken from the header, the query or the content of a request', async () => {
    const content = '{"m2mPayload":{"sender":"evil-service"},"caller":1}'
    const target = '/hooks?m2mPayload=evil'
    const forged = ['m2mPayload', 'm2m-payload', 'x-m2m-payload'].map((name) => `${name}: {"sender":"evil-service"}`)
    const { status } = await rawRequest(service.url, [...head(target, content), ...forged], content)
    expect(status).toBe(204)
    const [{ m2mPayload, body, headers, caller }] = handled as [AnyJson]
    expect(m2mPayload.sender).toBe('order-service')
    expect(caller.clientId).toBe('order-service')
    expect(body).not.toHaveProperty('m2mPayload')
    expect(Object.keys(headers).filter((name) => /payload|token/.test(name))).toEqual([])
  })
})

describe('several requests on one connection', () => {
  it('are told apart where the content of the first is refused, or read by nobody', async () => {
    const smuggled = `POST /hooks HTTP/1.1\r\nHost: x\r\nX-M2M-Token: ${tokenFor('/hooks')}\r\nContent-Length: 0\r\n\r\n`
    const first = head('/hooks', smuggled, 'something else')
    const second = ['POST /nowhere HTTP/1.1', `Content-Length: ${smuggled.length}`]
    const last = [...head('/hooks', 'true'), 'Connection: close']
    const request = (lines: readonly string[], content: string) =>
      `${[...lines, 'Host: inventory', '', content].join('\r\n')}`
    const answers = await conversation(request(first, smuggled) + request(second, smuggled) + request(last, 'true'))
    expect(answers).toEqual(['401', '404', '204'])
    expect(handled.map(({ rawBody }) => rawBody.toString())).toEqual(['true'])
  })
})

/** Sends all at once, and gives the statuses of the answers. */
async function conversation(text: string): Promise<string[]> {
  const { hostname, port } = new URL(service.url)
  const socket = connect(Number(port), hostname)
  socket.write(text)
  let answer = ''
  for await (const chunk of socket) answer += chunk
  return [...answer.matchAll(/HTTP\/1\.1 (\d{3})/g)].map(([, status]) => status!)
}
