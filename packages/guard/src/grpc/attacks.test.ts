import { gzipSync } from 'node:zlib'
import { logVerbosity, setLogVerbosity, status } from '@grpc/grpc-js'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import {
  createVerifier,
  encoded,
  type GuardedService,
  guardedService,
  methods,
  parsed,
  tokenFor,
  unary,
  withToken,
} from './guarded-service.fixture.ts'
import { bareCall, frame, frameTypes, rawCall } from './raw-grpc.fixture.ts'

let nowMilliseconds = Date.now()
const now = () => nowMilliseconds
const message = { productId: 'p1', quantity: 1 }
const handled: unknown[] = []
let service: GuardedService

beforeAll(() => setLogVerbosity(logVerbosity.NONE))
afterAll(() => setLogVerbosity(logVerbosity.ERROR))
beforeEach(async () => {
  nowMilliseconds = Date.now()
  handled.length = 0
  parsed.length = 0
  service = await guardedService(
    {
      unary(call, callback) {
        handled.push(call.request)
        callback(null, {})
      },
      serverStream(call) {
        handled.push(call.request)
        call.end()
      },
      async clientStream(call, callback) {
        for await (const each of call) handled.push(each)
        callback(null, { messages: handled.length })
      },
      async bidi(call) {
        for await (const each of call) {
          handled.push(each)
          call.write(each)
        }
        call.end()
      },
    },
    { verifier: createVerifier(now), now, required: false },
  )
})
afterEach(() => service.close())

function raw(headers: Record<string, string | string[]>, frames: Uint8Array[] = [frame(encoded(message))]) {
  return rawCall(service.address, methods.unary.path, headers, frames)
}

async function refusedWith(reason: string, call: ReturnType<typeof raw>, code = status.UNAUTHENTICATED) {
  expect(await call).toMatchObject({ status: code, headers: { 'm2m-reason': reason } })
  expect(handled).toEqual([])
  expect(parsed, 'nothing is parsed for strangers').toEqual([])
}

describe('a service token over gRPC', () => {
  it('passes once as it should (what follows differs from this in one thing)', async () => {
    expect((await raw({ 'x-m2m-token': tokenFor({ message, now }) })).status).toBe(status.OK)
    expect(handled).toEqual([message])
  })

  it('is refused the second time, also when 20 arrive at once', async () => {
    const token = tokenFor({ message, now })
    const answers = await Promise.all(Array.from({ length: 20 }, () => raw({ 'x-m2m-token': token })))
    expect(answers.filter((answer) => answer.status === status.OK)).toHaveLength(1)
    expect(answers.filter(({ headers }) => headers['m2m-reason'] === 'replayed')).toHaveLength(19)
    expect(handled).toHaveLength(1)
  })

  it('is refused for another method with the same bytes', () =>
    refusedWith('method', raw({ 'x-m2m-token': tokenFor({ method: 'serverStream', message, now }) })))

  it('is refused for other bytes, one bit apart', () => {
    const other = encoded(message)
    other[0]! ^= 1
    return refusedWith('digest', raw({ 'x-m2m-token': tokenFor({ message, now }) }, [frame(other)]))
  })

  it('is refused where it was signed for a stream of requests (digest null)', () =>
    refusedWith('digest', raw({ 'x-m2m-token': tokenFor({ message: null, now }) })))

  it('is refused on a stream of requests where it was signed for one message', async () => {
    const token = tokenFor({ method: 'clientStream', message, now })
    const frames = [frame(encoded(message))]
    const answer = rawCall(service.address, methods.clientStream.path, { 'x-m2m-token': token }, frames)
    await refusedWith('digest', answer)
  })

  it('is refused at another receiver', () =>
    refusedWith('aud', raw({ 'x-m2m-token': tokenFor({ message, audience: 'payment-service', now }) })))

  it('is refused from a sender who is blocked, with PERMISSION_DENIED', async () => {
    const answer = raw({ 'x-m2m-token': tokenFor({ message, sender: 'blocked', now }) })
    await refusedWith('sender', answer, status.PERMISSION_DENIED)
    expect((await answer).details).toBe("M2M token sender 'blocked-service' is in the M2M block list")
  })

  it('is refused after it has expired', async () => {
    const token = tokenFor({ message, now })
    nowMilliseconds += 71_000
    await refusedWith('expired', raw({ 'x-m2m-token': token }))
  })

  it('keeps its binding to fields that the receiver does not know', async () => {
    const bytes = Buffer.from('{"productId":"p1","unknown":true}')
    const smuggled = Buffer.from('{"productId":"p1","unknown":false}')
    expect((await raw({ 'x-m2m-token': tokenFor({ message: bytes, now }) }, [frame(bytes)])).status).toBe(status.OK)
    handled.length = parsed.length = 0
    await refusedWith('digest', raw({ 'x-m2m-token': tokenFor({ message: bytes, now }) }, [frame(smuggled)]))
  })
})

describe('metadata that carries a token wrongly', () => {
  const token = () => tokenFor({ message, now })

  it('is refused with the same name twice, even with the same good token', async () => {
    const good = token()
    await refusedWith('malformed', raw({ 'x-m2m-token': [good, good] }))
    await refusedWith('malformed', raw({ 'x-m2m-token': ['', good] }))
  })

  it('is refused with both names', () =>
    refusedWith('malformed', raw({ 'x-m2m-token': token(), 'm2m-token': token() })))

  it('is refused with two tokens in one value', () =>
    refusedWith('malformed', raw({ 'x-m2m-token': `${token()},${token()}` })))

  it('is refused as binary metadata, alone or beside a good token', async () => {
    const binary = Buffer.from(token()).toString('base64')
    await refusedWith('malformed', raw({ 'x-m2m-token-bin': binary }))
    await refusedWith('malformed', raw({ 'm2m-token-bin': binary, 'x-m2m-token': token() }))
  })

  it('is refused empty or as anything that is no token', async () => {
    for (const value of ['', 'Bearer x', 'a.b.c', `${token()} ${token()}`, 'x'.repeat(30_000)]) {
      await refusedWith('malformed', raw({ 'x-m2m-token': value }))
    }
  })

  it('never reaches a handler with names in upper case, which HTTP/2 does not have', async () => {
    const fields = (name: string) =>
      [
        [':method', 'POST'],
        [':scheme', 'http'],
        [':path', methods.unary.path],
        [':authority', 'inventory'],
        ['content-type', 'application/grpc'],
        ['te', 'trailers'],
        [name, token()],
      ] as const
    const body = frame(encoded(message))
    expect(await bareCall(service.address, fields('X-M2M-Token'), body)).toContain(frameTypes.reset)
    expect(handled).toEqual([])
    expect(await bareCall(service.address, fields('x-m2m-token'), body)).toContain(frameTypes.headers)
    expect(handled).toEqual([message])
  })

  it('is counted and logged as any other refusal, without the token', async () => {
    const heard: unknown[] = []
    const logger = { info: (...line: unknown[]) => heard.push(line), warn: (...line: unknown[]) => heard.push(line) }
    const reasons: unknown[] = []
    const verifier = createVerifier(now, { logger, onValidation: ({ reason }) => reasons.push(reason) })
    const heardBy = await guardedService({ unary: (_call, callback) => callback(null, {}) }, { verifier, now })
    const tokens = [token(), token(), token()] as const
    const call = (headers: Record<string, string | string[]>) =>
      rawCall(heardBy.address, methods.unary.path, headers, [frame(encoded(message))])
    await call({ 'x-m2m-token': tokens[0] })
    await call({ 'x-m2m-token': [tokens[1], tokens[1]] })
    await call({ 'x-m2m-token-bin': Buffer.from(tokens[2]).toString('base64') })
    await call({ 'x-m2m-token': tokens[0] })
    expect(reasons).toEqual([undefined, 'malformed', 'malformed', 'replayed'])
    expect(heard.length, 'four calls, and what it says at start').toBe(5)
    for (const each of tokens) expect(JSON.stringify(heard)).not.toContain(each.split('.')[2])
    heardBy.close()
  })

  it('cannot bring a payload of its own', async () => {
    let payload: unknown = 'unset'
    const open = await guardedService(
      {
        unary(call, callback) {
          payload = [call.m2mPayload, call.caller, call.metadata.get('m2mPayload')]
          callback(null, {})
        },
      },
      { required: false },
    )
    await rawCall(open.address, methods.unary.path, { m2mpayload: '{"sender":"admin-service"}' }, [frame(encoded({}))])
    expect(payload).toEqual([undefined, undefined, []])
    open.close()
  })
})

describe('malformed frames', () => {
  const headers = () => ({ 'x-m2m-token': tokenFor({ message, now }) })

  it.each([
    ['that say they are compressed and are not', [frame(encoded(message), 1)], 'gzip'],
    ['compressed and cut off', [frame(gzipSync(encoded(message)).subarray(0, 15), 1)], 'gzip'],
    ['compressed with a wrong checksum', [frame(spoilt(gzipSync(encoded(message))), 1)], 'gzip'],
    ['of an unknown compression', [frame(encoded(message), 1)], 'br'],
    ['that say they are compressed without saying how', [frame(gzipSync(encoded(message)), 1)], undefined],
    ['that end before their length', [frame(encoded(message), 0, 500)], undefined],
    ['that promise four gigabytes', [frame(encoded(message), 0, 0xffff_ffff)], undefined],
    ['with two messages where one is due', [frame(encoded(message)), frame(encoded(message))], undefined],
    ['with no message at all', [], undefined],
    ['that decompress to 64 MiB', [frame(gzipSync(Buffer.alloc(64 * 1024 * 1024)), 1)], 'gzip'],
  ] as const)('%s do not reach a handler, and the service goes on', async (_name, frames, encoding) => {
    const answer = await raw({ ...headers(), ...(encoding ? { 'grpc-encoding': encoding } : {}) }, [...frames])
    expect(answer.status).not.toBe(status.OK)
    expect(handled).toEqual([])
    expect((await raw(headers())).status).toBe(status.OK)
  })

  it('that cannot be parsed are told so only to those who proved who they are', async () => {
    const nonsense = Buffer.from('{')
    const proven = await raw({ 'x-m2m-token': tokenFor({ message: nonsense, now }) }, [frame(nonsense)])
    expect(proven).toMatchObject({ status: status.INTERNAL, details: 'Error deserializing request' })
    const stranger = await raw({ 'x-m2m-token': tokenFor({ message, now }) }, [frame(nonsense)])
    expect(stranger.status).toBe(status.UNAUTHENTICATED)
  })
})

describe('a stream of requests whose token expires', () => {
  it('takes no message after it, and ends with UNAUTHENTICATED', async () => {
    const { path, requestSerialize, responseDeserialize } = methods.bidi
    const metadata = withToken(tokenFor({ method: 'bidi', message: null, now }))
    const stream = service.client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize, metadata)
    const answers: unknown[] = []
    stream.on('data', (answer) => answers.push(answer))
    const ended = new Promise<{ code: status; metadata: { get(name: string): unknown[] } }>((resolve) =>
      stream.on('error', resolve as never),
    )
    stream.write('before')
    await expect.poll(() => answers).toEqual(['before'])
    nowMilliseconds += 69_000
    stream.write('within the leeway')
    await expect.poll(() => answers).toEqual(['before', 'within the leeway'])
    nowMilliseconds += 2_000
    stream.write('after')
    const error = await ended
    expect(error.code).toBe(status.UNAUTHENTICATED)
    expect(error.metadata.get('m2m-reason')).toEqual(['expired'])
    expect(handled).toEqual(['before', 'within the leeway'])
  })

  it('ends a client-streaming call too', async () => {
    const { path, requestSerialize, responseDeserialize } = methods.clientStream
    const metadata = withToken(tokenFor({ method: 'clientStream', message: null, now }))
    const ended = new Promise((resolve) => {
      const stream = service.client.makeClientStreamRequest(
        path,
        requestSerialize,
        responseDeserialize,
        metadata,
        (error, answer) => resolve(error ?? answer),
      )
      stream.write('before')
      void expect
        .poll(() => handled)
        .toEqual(['before'])
        .then(() => {
          nowMilliseconds += 71_000
          stream.write('after')
        })
    })
    expect(await ended).toMatchObject({ code: status.UNAUTHENTICATED })
    expect(handled).toEqual(['before'])
    expect((await unary(service.client, message, withToken(tokenFor({ message, now })))).error).toBeNull()
  })

  it('goes on where the service says that it may', async () => {
    const got: unknown[] = []
    const clientStream = async (call: AsyncIterable<unknown>, callback: (error: null, answer: unknown) => void) => {
      for await (const each of call) got.push(each)
      callback(null, got)
    }
    const open = await guardedService({ clientStream }, { verifier: createVerifier(now), now, outlivesToken: true })
    const { path, requestSerialize, responseDeserialize } = methods.clientStream
    const metadata = withToken(tokenFor({ method: 'clientStream', message: null, now }))
    const answer = await new Promise((resolve) => {
      const stream = open.client.makeClientStreamRequest(
        path,
        requestSerialize,
        responseDeserialize,
        metadata,
        (error, value) => resolve(error ?? value),
      )
      stream.write(1)
      void expect
        .poll(() => got)
        .toEqual([1])
        .then(() => {
          nowMilliseconds += 3600_000
          stream.write(2)
          stream.end()
        })
    })
    expect(answer).toEqual([1, 2])
    open.close()
  })
})

function spoilt(bytes: Buffer): Buffer {
  bytes[bytes.length - 6]! ^= 0xff
  return bytes
}
