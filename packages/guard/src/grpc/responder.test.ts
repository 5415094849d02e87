import { Metadata, status } from '@grpc/grpc-js'
import { afterEach, describe, expect, it } from 'vitest'
import {
  type GuardedService,
  guardedService,
  type Handlers,
  methods,
  type Outcome,
  unary,
} from './guarded-service.fixture.ts'

const secret = 'postgres://app:hunter2@db'
const leaking = () => Object.assign(new Error(secret), { code: 'ECONNREFUSED' as never, details: secret })

let service: GuardedService | undefined
const failures: unknown[] = []
afterEach(() => {
  service?.close()
  failures.length = 0
})

async function outcomeOf(handlers: Handlers): Promise<Outcome> {
  const onError = (error: unknown, method: string) => failures.push([method, error])
  service = await guardedService(handlers, { required: false, onError })
  const [name] = Object.keys(handlers) as (keyof typeof methods)[]
  const { path, requestSerialize, responseDeserialize } = methods[name!]
  const { client } = service
  if (name === 'unary') return unary(client, {})
  return new Promise((resolve) => {
    const finish = (error: unknown) => resolve({ error: error as Outcome['error'] })
    if (name === 'clientStream') {
      client.makeClientStreamRequest(path, requestSerialize, responseDeserialize, finish).end()
      return
    }
    const stream =
      name === 'bidi'
        ? client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize)
        : client.makeServerStreamRequest(path, requestSerialize, responseDeserialize, {})
    stream.on('error', finish)
    stream.resume()
    if (name === 'bidi') (stream as unknown as { end(): void }).end()
  })
}

describe('what handlers fail with', () => {
  const cases: [string, Handlers][] = [
    ['thrown by a unary handler', { unary: () => { throw leaking() } }], // biome-ignore format: table
    ['an async unary handler rejects with', { unary: async () => Promise.reject(leaking()) }],
    ['passed on by a unary handler', { unary: (_call, callback) => callback(leaking()) }],
    ['thrown by a server-streaming handler', { serverStream: () => { throw leaking() } }], // biome-ignore format: table
    ['an async server-streaming handler rejects with', { serverStream: async () => Promise.reject(leaking()) }],
    ['emitted by a server-streaming handler', { serverStream: (call) => call.emit('error', leaking()) }],
    ['a server stream is destroyed with', { serverStream: (call) => call.destroy(leaking()) }],
    ['thrown by a client-streaming handler', { clientStream: () => { throw leaking() } }], // biome-ignore format: table
    ['passed on by a client-streaming handler', { clientStream: (_call, callback) => callback(leaking()) }],
    ['thrown by a bidirectional handler', { bidi: () => { throw leaking() } }], // biome-ignore format: table
    ['emitted by a bidirectional handler', { bidi: (call) => call.emit('error', leaking()) }],
    [
      'with a number that is no gRPC status',
      { unary: (_c, callback) => callback(new DOMException(secret, 'AbortError')) },
    ],
    ['a status that was thrown, not given as an answer', { unary: () => { throw Object.assign(leaking(), { code: status.NOT_FOUND }) } }], // biome-ignore format: table
    ['nothing at all', { unary: async () => Promise.reject(undefined) }],
  ]

  it.each(cases)('%s is not told to whoever calls', async (_name, handlers) => {
    const { error } = await outcomeOf(handlers)
    expect(error?.code).toBe(status.INTERNAL)
    expect(error?.details).toBe('The method failed.')
    expect(JSON.stringify([error, error?.metadata.toJSON(), error?.message])).not.toContain('hunter2')
    expect(failures).toHaveLength(1)
  })

  it('is told where it is a gRPC status that was meant for the caller', async () => {
    const metadata = new Metadata()
    metadata.set('sku', 'p1')
    const meant = { code: status.FAILED_PRECONDITION, details: 'out of stock', metadata }
    const { error } = await outcomeOf({ unary: (_call, callback) => callback(meant) })
    expect(error).toMatchObject({ code: status.FAILED_PRECONDITION, details: 'out of stock' })
    expect(error?.metadata.get('sku')).toEqual(['p1'])
    service?.close()
    const streamed = await outcomeOf({ serverStream: (call) => call.emit('error', meant) })
    expect(streamed.error).toMatchObject({ code: status.FAILED_PRECONDITION, details: 'out of stock' })
    expect(failures).toEqual([])
  })

  it('changes nothing once the call was answered', async () => {
    const { error, answer } = await outcomeOf({
      async unary(_call, callback) {
        callback(null, { left: 3 })
        callback(null, { left: 4 })
        throw leaking()
      },
    })
    expect(error).toBeNull()
    expect(answer).toEqual({ left: 3 })
  })
})
