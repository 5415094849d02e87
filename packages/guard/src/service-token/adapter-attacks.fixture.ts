import { gzipSync } from 'node:zlib'
import { createMemorySingleUse } from '@countersign/limits'
import { generateSigningKey } from '@countersign/tokens'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { AdapterProgram } from '../adapter-cases.fixture.ts'
import { createGuard, type Guard } from '../guard.ts'
import { type RawAnswer, rawRequest, sendBytes } from '../raw-http.fixture.ts'
import { createSender, type HttpCall, startSenders, type TestSender, type TestSenders } from './senders.fixture.ts'

/**
 * What every adapter's test builds with its framework: a program behind the guard that takes any method and path, reads
 * the content with a parser of the framework's own, and answers 200 with `tellCall` of what it sees.
 */
export type StartGuarded = (guard: Guard) => Promise<AdapterProgram>

/** What a guarded program saw of a call. */
export function tellCall(
  seen: { caller?: { clientId: string }; m2mPayload?: { sender: string } },
  content: Uint8Array | undefined,
): object {
  return {
    clientId: seen.caller?.clientId,
    sender: seen.m2mPayload?.sender,
    content: Buffer.from(content ?? []).toString('base64'),
  }
}

const call = { method: 'POST', target: '/v1/stock?sku=a%20b&sku=2&n=1', content: '{"n":1.0,"name":"é"}' }

interface Tampering {
  readonly it: string
  readonly sent: Partial<HttpCall>
  readonly signed?: Partial<HttpCall>
  readonly reason: string
}

/** What is sent in place of what was signed. */
const tamperings: readonly Tampering[] = [
  { it: 'another method', sent: { method: 'PUT' }, reason: 'method' },
  { it: 'another path', sent: { target: '/v1/stock/all?sku=a%20b&sku=2&n=1' }, reason: 'target' },
  { it: 'a path in other case', sent: { target: '/v1/Stock?sku=a%20b&sku=2&n=1' }, reason: 'target' },
  { it: 'a slash at the end of the path', sent: { target: '/v1/stock/?sku=a%20b&sku=2&n=1' }, reason: 'target' },
  { it: 'two slashes', sent: { target: '//v1/stock?sku=a%20b&sku=2&n=1' }, reason: 'target' },
  { it: 'two slashes within', sent: { target: '/v1//stock?sku=a%20b&sku=2&n=1' }, reason: 'target' },
  { it: 'dots', sent: { target: '/v1/x/../stock?sku=a%20b&sku=2&n=1' }, reason: 'target' },
  { it: 'escaped dots', sent: { target: '/v1/x/%2e%2e/stock?sku=a%20b&sku=2&n=1' }, reason: 'target' },
  { it: 'an escaped letter', sent: { target: '/v1/%73tock?sku=a%20b&sku=2&n=1' }, reason: 'target' },
  { it: 'an escaped slash', sent: { target: '/v1%2Fstock?sku=a%20b&sku=2&n=1' }, reason: 'target' },
  { it: 'a path parameter', sent: { target: '/v1/stock;a=b?sku=a%20b&sku=2&n=1' }, reason: 'target' },
  { it: 'the query in another order', sent: { target: '/v1/stock?n=1&sku=a%20b&sku=2' }, reason: 'target' },
  { it: 'a repeated key in another order', sent: { target: '/v1/stock?sku=2&sku=a%20b&n=1' }, reason: 'target' },
  { it: 'a repeated key once', sent: { target: '/v1/stock?sku=a%20b&n=1' }, reason: 'target' },
  { it: 'a plus for an escaped space', sent: { target: '/v1/stock?sku=a+b&sku=2&n=1' }, reason: 'target' },
  { it: 'one more parameter', sent: { target: '/v1/stock?sku=a%20b&sku=2&n=1&admin=1' }, reason: 'target' },
  { it: 'no query', sent: { target: '/v1/stock' }, reason: 'target' },
  { it: 'an empty query', signed: { target: '/v1/stock' }, sent: { target: '/v1/stock?' }, reason: 'target' },
  { it: 'another body', sent: { content: '{"n":2.0,"name":"é"}' }, reason: 'digest' },
  { it: 'a number written otherwise', sent: { content: '{"n":1,"name":"é"}' }, reason: 'digest' },
  { it: 'letters composed otherwise', sent: { content: '{"n":1.0,"name":"e\u0301"}' }, reason: 'digest' },
  { it: 'members in another order', sent: { content: '{"name":"é","n":1.0}' }, reason: 'digest' },
  { it: 'a space at the end', sent: { content: '{"n":1.0,"name":"é"} ' }, reason: 'digest' },
  { it: 'a line end at the end', sent: { content: '{"n":1.0,"name":"é"}\r\n' }, reason: 'digest' },
  { it: 'a byte order mark', sent: { content: '\ufeff{"n":1.0,"name":"é"}' }, reason: 'digest' },
  { it: 'no body', sent: { content: '' }, reason: 'digest' },
  { it: 'a body where none was signed', signed: { content: '' }, sent: { content: '{}' }, reason: 'digest' },
  { it: 'a coded body for the plain one', sent: { content: gzipSync(call.content) }, reason: 'digest' },
  {
    it: 'a body with a GET that was signed without',
    signed: { method: 'GET', content: '' },
    sent: { method: 'GET', content: '{"admin":true}' },
    reason: 'digest',
  },
]

/** Runs the same attacks against an adapter, over real sockets. */
export function describeServiceTokens(name: string, start: StartGuarded): void {
  describe(`${name}: a route for service tokens`, () => {
    let senders: TestSenders
    let order: TestSender
    let program: AdapterProgram
    let guard: Guard
    beforeAll(async () => {
      senders = await startSenders()
      order = await senders.add('order')
      guard = createGuard({
        serviceTokens: { name: 'inventory', keys: senders.template, uses: createMemorySingleUse(), maxBody: 100_000 },
      })
      program = await start(guard)
    })
    afterAll(async () => {
      await program.close()
      await senders.stop()
    })

    const bytesOf = (content: HttpCall['content'] = '') => Buffer.from(content as string)
    const lengthOf = (sent: HttpCall) => {
      const { length } = bytesOf(sent.content)
      return length > 0 || sent.method === 'POST' ? [`Content-Length: ${length}`] : []
    }
    const send = (sent: HttpCall, token: string, more: readonly string[] = []) =>
      rawRequest(
        program.origin,
        sent.target,
        [`x-m2m-token: ${token}`, 'Content-Type: application/octet-stream', ...lengthOf(sent), ...more],
        sent.method,
        bytesOf(sent.content),
      )
    const withLines = (sent: HttpCall, lines: readonly string[]) =>
      rawRequest(program.origin, sent.target, [...lines, ...lengthOf(sent)], sent.method, bytesOf(sent.content))

    it('lets the signed call through, and its parser sees the very bytes that were checked', async () => {
      const answer = await send(call, order.forCall(call))
      expect(answer.status).toBe(200)
      expect(JSON.parse(answer.body)).toEqual({
        clientId: 'order-service',
        sender: 'order-service',
        content: Buffer.from(call.content).toString('base64'),
      })
    })

    for (const { it: what, sent, signed, reason } of tamperings) {
      it(`refuses ${what}, and says that it is the ${reason}`, async () => {
        const original = { ...call, ...signed }
        expectRefusal(await send({ ...original, ...sent }, order.forCall(original)), reason)
      })
    }

    it('checks a coded body as it came, and passes it on as it came', async () => {
      const coded = { ...call, content: gzipSync(call.content) }
      const answer = await send(coded, order.forCall(coded), ['X-Coding: gzip'])
      expect(answer.status).toBe(200)
      expect(JSON.parse(answer.body).content).toBe(coded.content.toString('base64'))
    })

    it('takes the path and query of an absolute-form, whatever host it names', async () => {
      const token = order.forCall(call)
      const answer = await send({ ...call, target: `http://evil.example${call.target}` }, token)
      expect(answer.status).toBe(200)
      const other = order.forCall(call)
      expectRefusal(await send({ ...call, target: 'http://evil.example/v1/other' }, other), 'target')
    })

    it('is bound to its receiver, not to the host that the request names', async () => {
      const elsewhere = order.forCall(call, 'billing-service')
      expectRefusal(await send(call, elsewhere), 'aud')
      const lines = [
        `POST ${call.target} HTTP/1.1`,
        'Host: billing.example:8443',
        'Connection: close',
        `Content-Length: ${bytesOf(call.content).length}`,
      ]
      const head = (token: string) => `${lines.join('\r\n')}\r\nx-m2m-token: ${token}\r\n\r\n`
      expectRefusal(await sendBytes(program.origin, [head(elsewhere), bytesOf(call.content)]), 'aud')
      const good = await sendBytes(program.origin, [head(order.forCall(call)), bytesOf(call.content)])
      expect(good.status).toBe(200)
    })

    it.each(['x-m2m-token', 'M2M-Token', 'X-M2M-TOKEN', 'm2m-token'])('finds the token in %s', async (header) => {
      expect((await withLines(call, [`${header}: ${order.forCall(call)}`])).status).toBe(200)
    })

    it('refuses more than one token, be they good, alike, or in one header (65, 66)', async () => {
      const [one, two] = [order.forCall(call), order.forCall(call)]
      for (const lines of [
        [`x-m2m-token: ${one}`, `x-m2m-token: ${two}`],
        [`x-m2m-token: ${one}`, `X-M2M-Token: ${one}`],
        [`x-m2m-token: ${one}`, `m2m-token: ${two}`],
        [`m2m-token: ${one}`, `m2m-token: nonsense`],
        [`x-m2m-token: ${one}, ${two}`],
        [`x-m2m-token: ${one}`, 'x-m2m-token:'],
      ]) {
        expectRefusal(await withLines(call, lines), 'malformed')
      }
      expect((await withLines(call, [`x-m2m-token: ${one}`])).status, 'none of them was used up').toBe(200)
    })

    it('refuses a token that is folded over two lines (65)', async () => {
      const token = order.forCall(call)
      const half = Math.floor(token.length / 2)
      const folded = await withLines(call, [`x-m2m-token: ${token.slice(0, half)}`, ` ${token.slice(half)}`])
      expect(folded.status === 400 || folded.status === 401).toBe(true)
      const twice = await withLines(call, [`x-m2m-token: ${token}`, ` ${token}`])
      expect(twice.status === 400 || twice.status === 401).toBe(true)
    })

    it.each(['', 'abc', 'a.b.c', `${'x'.repeat(9_000)}`])('refuses what is no token', async (token) => {
      expectRefusal(await withLines(call, [`x-m2m-token: ${token}`]), 'malformed')
    })

    it('asks for a token where there is none, also where another header or the query has one', async () => {
      const token = order.forCall(call)
      for (const lines of [[], [`Authorization: Bearer ${token}`], [`Cookie: x-m2m-token=${token}`]]) {
        const answer = await withLines(call, lines)
        expect(answer.status).toBe(401)
        expect(answer.headers['www-authenticate']).toMatch(/^M2M error="RequiresM2MToken"/)
        expect(JSON.parse(answer.body)).toMatchObject({ status: 401, code: 'RequiresM2MToken' })
      }
    })

    it('takes the same content in chunks, whatever the pieces', async () => {
      const token = order.forCall(call)
      const content = bytesOf(call.content)
      const pieces = [...content].map((byte) =>
        Buffer.concat([Buffer.from('1\r\n'), Buffer.of(byte), Buffer.from('\r\n')]),
      )
      const answer = await sendBytes(program.origin, [
        `POST ${call.target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n`,
        `Content-Type: application/octet-stream\r\nx-m2m-token: ${token}\r\n\r\n`,
        ...pieces,
        '0\r\n\r\n',
      ])
      expect(answer.status).toBe(200)
      expect(JSON.parse(answer.body).content).toBe(content.toString('base64'))
    })

    it('sees content that is chunked and empty as none', async () => {
      const empty = { ...call, content: '' }
      const answer = await sendBytes(program.origin, [
        `POST ${call.target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n`,
        `Content-Type: application/octet-stream\r\nx-m2m-token: ${order.forCall(empty)}\r\n\r\n`,
        '0\r\n\r\n',
      ])
      expect([answer.status, JSON.parse(answer.body).content]).toEqual([200, ''])
    })

    it('takes no token from a trailer, and no content (67)', async () => {
      const token = order.forCall(call)
      const body = `${bytesOf(call.content).length.toString(16)}\r\n${bytesOf(call.content).toString('latin1')}\r\n0\r\n`
      const head = (line: string) =>
        `POST ${call.target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\nTrailer: x-m2m-token\r\n${line}\r\n`
      const bare = await sendBytes(program.origin, [head(''), `${body}x-m2m-token: ${token}\r\n\r\n`])
      expect(JSON.parse(bare.body)).toMatchObject({ status: 401, code: 'RequiresM2MToken' })
      const both = await sendBytes(program.origin, [
        head(`x-m2m-token: ${token}\r\nContent-Type: application/octet-stream\r\n`),
        `${body}x-m2m-token: other\r\n\r\n`,
      ])
      expect([both.status, JSON.parse(both.body).content]).toEqual([200, bytesOf(call.content).toString('base64')])
    })

    it('lets nobody through whose request has two lengths (67)', async () => {
      const token = order.forCall({ ...call, content: '' })
      for (const lines of [
        ['Content-Length: 6', 'Transfer-Encoding: chunked'],
        ['Content-Length: 0', 'Content-Length: 20'],
        ['Transfer-Encoding: chunked, identity', 'Content-Length: 20'],
      ]) {
        const head = [`POST ${call.target} HTTP/1.1`, 'Host: x', 'Connection: close', `x-m2m-token: ${token}`, ...lines]
        const answer = await sendBytes(program.origin, [`${head.join('\r\n')}\r\n\r\n0\r\n\r\nSMUGGLED`])
        expect(answer.status).toBe(400)
      }
    })

    it('refuses the second use of a token (68)', async () => {
      const token = order.forCall(call)
      expect((await send(call, token)).status).toBe(200)
      expectRefusal(await send(call, token), 'replayed')
    })

    it('lets one of 100 through that come at once with the same token (35)', async () => {
      const token = order.forCall(call)
      const answers = await Promise.all(Array.from({ length: 100 }, () => send(call, token)))
      expect(answers.filter(({ status }) => status === 200)).toHaveLength(1)
      for (const answer of answers) if (answer.status !== 200) expectRefusal(answer, 'replayed')
    })

    it('answers 413 to content that is longer than it reads, announced or not', async () => {
      const long = { ...call, content: Buffer.alloc(100_001) }
      const announced = await send(long, order.forCall(long))
      expect(announced.status).toBe(413)
      expect(JSON.parse(announced.body)).toMatchObject({ status: 413, code: 'body_too_large' })
      expect(announced.headers.connection).toBe('close')
      const chunk = `2710\r\n${'\0'.repeat(10_000)}\r\n`
      const unannounced = await sendBytes(program.origin, [
        `POST ${call.target} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n`,
        `x-m2m-token: ${order.forCall(long)}\r\n\r\n`,
        ...Array.from({ length: 11 }, () => chunk),
        // No end: the answer does not wait for one.
      ])
      expect(unannounced.status).toBe(413)
    })

    it('waits for no long content of a token that is not signed by its sender', async () => {
      const forger = createSender('order', await generateSigningKey('EdDSA'))
      const claims = JSON.parse(Buffer.from(order.forCall(call).split('.')[1]!, 'base64url').toString())
      const token = forger.forge(claims, { kid: order.kid })
      for (const line of ['Transfer-Encoding: chunked', 'Content-Length: 99000', 'Content-Length: 1000000000']) {
        const head = `POST ${call.target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n${line}\r\nx-m2m-token: ${token}\r\n\r\n`
        expectRefusal(await sendBytes(program.origin, [head]), 'signature')
      }
    })

    it('takes content of just the length that it reads', async () => {
      const full = { ...call, content: Buffer.alloc(100_000, 7) }
      const answer = await send(full, order.forCall(full))
      expect(answer.status).toBe(200)
      expect(Buffer.from(JSON.parse(answer.body).content, 'base64').equals(full.content)).toBe(true)
    })

    it('passes exactly the checked bytes on, for many bodies and pieces over one connection (69)', async () => {
      for (let round = 0; round < 20; round++) {
        const content = crypto.getRandomValues(new Uint8Array(1 + Math.floor(Math.random() ** 3 * 60_000)))
        const sent = { ...call, content }
        const token = order.forCall(sent)
        const body = new ReadableStream({
          async start(controller) {
            for (let at = 0; at < content.length; ) {
              const end = at + 1 + Math.floor(Math.random() * 20_000)
              controller.enqueue(content.slice(at, end))
              at = end
              if (Math.random() < 0.5) await new Promise((done) => setTimeout(done, 1))
            }
            controller.close()
          },
        })
        const answer = await fetch(`${program.origin}${call.target}`, {
          method: 'POST',
          headers: { 'x-m2m-token': token, 'content-type': 'application/octet-stream' },
          body: round % 2 === 0 ? content : body,
          duplex: 'half',
        } as RequestInit)
        expect(answer.status).toBe(200)
        const seen = (await answer.json()) as { content: string }
        expect(Buffer.from(seen.content, 'base64').equals(content)).toBe(true)
      }
    })

    it('takes no verified payload from a client', async () => {
      const payload = JSON.stringify({ sender: 'admin-service' })
      for (const line of ['m2mPayload', 'm2m-payload', 'x-m2m-payload']) {
        const answer = await send(call, order.forCall(call), [`${line}: ${payload}`])
        expect(JSON.parse(answer.body).sender).toBe('order-service')
        expect((await withLines(call, [`${line}: ${payload}`])).status).toBe(401)
      }
    })

    it('answers 503 while the keys of senders cannot be had', async () => {
      const away = await startSenders()
      const lone = await away.add('lone')
      await away.stop()
      const other = createGuard({
        serviceTokens: { name: 'inventory', keys: away.template, uses: createMemorySingleUse() },
      })
      const standing = await start(other)
      const answer = await rawRequest(
        standing.origin,
        call.target,
        [`x-m2m-token: ${lone.forCall({ ...call, content: '' })}`, 'Content-Length: 0'],
        'POST',
      )
      expect(answer.status).toBe(503)
      expect(Number(answer.headers['retry-after'])).toBeGreaterThan(0)
      expect(JSON.parse(answer.body)).toMatchObject({ code: 'unavailable', reason: 'keys_unavailable' })
      await standing.close()
    })
  })
}

export function expectRefusal(answer: RawAnswer, reason: string): void {
  expect(answer.status).toBe(401)
  expect(answer.headers['content-type']).toBe('application/problem+json')
  expect(answer.headers['www-authenticate']).toMatch(/^M2M error="InvalidM2MToken", error_description="[^"]+"$/)
  const problem = JSON.parse(answer.body)
  expect(problem).toMatchObject({ status: 401, code: 'InvalidM2MToken', reason })
  expect(problem.detail).toBeTypeOf('string')
}
