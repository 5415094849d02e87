import { gzipSync } from 'node:zlib'
import { type ServiceDefinition, status } from '@grpc/grpc-js'
import { afterEach, describe, expect, it } from 'vitest'
import { GuardConfigurationError } from '../guard-error.ts'
import { callerOf } from './admitted-caller.ts'
import { guardGrpc } from './guard-grpc.ts'
import {
  type AnyCall,
  createVerifier,
  encoded,
  type GuardedService,
  guardedService,
  type Handlers,
  methods,
  parsed,
  tokenFor,
  unary,
  withToken,
} from './guarded-service.fixture.ts'
import { frame, rawCall } from './raw-grpc.fixture.ts'

let service: GuardedService | undefined
afterEach(() => {
  service?.close()
  service = undefined
  parsed.length = 0
})

const seen: AnyCall[] = []
const handlers: Handlers = {
  unary(call, callback) {
    seen.push(call)
    callback(null, { caller: callerOf(call)?.clientId ?? null, request: call.request })
  },
  serverStream(call) {
    call.write({ caller: call.caller?.clientId, request: call.request })
    call.end()
  },
  async clientStream(call, callback) {
    const messages = await Array.fromAsync(call)
    callback(null, { caller: call.m2mPayload?.sender, messages })
  },
  async bidi(call) {
    for await (const message of call) call.write({ caller: callerOf(call)?.clientId, message })
    call.end()
  },
}

describe('a guarded gRPC service', () => {
  it('hands a unary call on to its handler with the caller, and parses the request once', async () => {
    service = await guardedService(handlers)
    const message = { productId: 'p1' }
    const { error, answer } = await unary(service.client, message, withToken(tokenFor({ message })))
    expect(error).toBeNull()
    expect(answer).toEqual({ caller: 'order-service', request: message })
    expect(parsed).toEqual([message])
    const call = seen.at(-1)!
    expect(call.caller).toBe(callerOf(call))
    expect(call.m2mPayload).toMatchObject({ sender: 'order-service' })
    expect(call.metadata.get('x-m2m-token')).toEqual([])
  })

  it('takes the token as m2m-token too', async () => {
    service = await guardedService(handlers)
    const { error } = await unary(service.client, {}, withToken(tokenFor({ message: {} }), 'M2M-Token'))
    expect(error).toBeNull()
  })

  it('guards server-streaming, client-streaming and bidirectional calls', async () => {
    service = await guardedService(handlers)
    const { client } = service
    const { serverStream, clientStream, bidi } = methods
    const message = { productId: 'p1' }

    const watching = client.makeServerStreamRequest(
      serverStream.path,
      serverStream.requestSerialize,
      serverStream.responseDeserialize,
      message,
      withToken(tokenFor({ method: 'serverStream', message })),
    )
    expect(await Array.fromAsync(watching)).toEqual([{ caller: 'order-service', request: message }])

    const counted = new Promise((resolve, reject) => {
      const stream = client.makeClientStreamRequest(
        clientStream.path,
        clientStream.requestSerialize,
        clientStream.responseDeserialize,
        withToken(tokenFor({ method: 'clientStream', message: null })),
        (error, answer) => (error ? reject(error) : resolve(answer)),
      )
      for (const n of [1, 2]) stream.write(n)
      stream.end()
    })
    expect(await counted).toEqual({ caller: 'order-service', messages: [1, 2] })

    const syncing = client.makeBidiStreamRequest(
      bidi.path,
      bidi.requestSerialize,
      bidi.responseDeserialize,
      withToken(tokenFor({ method: 'bidi', message: null })),
    )
    syncing.write(1)
    syncing.end()
    expect(await Array.fromAsync(syncing)).toEqual([{ caller: 'order-service', message: 1 }])
  })

  it('checks compressed requests by what they decompress to', async () => {
    service = await guardedService(handlers)
    const message = encoded({ productId: 'x'.repeat(2000) })
    const headers = { 'x-m2m-token': tokenFor({ message }), 'grpc-encoding': 'gzip' }
    const { status: code } = await rawCall(service.address, methods.unary.path, headers, [frame(gzipSync(message), 1)])
    expect(code).toBe(status.OK)

    const overWire = { 'x-m2m-token': tokenFor({ message: gzipSync(message) }), 'grpc-encoding': 'gzip' }
    const refused = await rawCall(service.address, methods.unary.path, overWire, [frame(gzipSync(message), 1)])
    expect(refused).toMatchObject({ status: status.UNAUTHENTICATED, headers: { 'm2m-reason': 'digest' } })
  })

  it('refuses calls without a token, and parses nothing of them', async () => {
    service = await guardedService(handlers)
    const { error } = await unary(service.client, {})
    expect(error).toMatchObject({ code: status.UNAUTHENTICATED, details: expect.stringMatching(/^RequiresM2MToken: /) })
    expect(error!.metadata.get('m2m-error')).toEqual(['RequiresM2MToken'])
    expect(parsed).toEqual([])
  })

  it('lets calls without a token pass where none is required, but no wrong one', async () => {
    service = await guardedService(handlers, { required: false })
    expect((await unary(service.client, {})).answer).toEqual({ caller: null, request: {} })
    expect((await unary(service.client, {}, withToken('nonsense'))).error?.code).toBe(status.UNAUTHENTICATED)
    expect((await unary(service.client, {}, withToken(''))).error?.code).toBe(status.UNAUTHENTICATED)
  })

  it('may require tokens of single methods, or all but single ones', async () => {
    service = await guardedService(handlers, { required: false, methods: { unary: { required: true } } })
    expect((await unary(service.client, {})).error?.code).toBe(status.UNAUTHENTICATED)
    service.close()
    service = await guardedService(handlers, { methods: { unary: { required: false } } })
    expect((await unary(service.client, {})).error).toBeNull()
  })

  it('is not set up with rules for methods that are not there', () => {
    const options = { methods: { decreaseStok: { required: false } } }
    expect(() => guardGrpc(createVerifier(), methods as ServiceDefinition, {}, options)).toThrow(
      GuardConfigurationError,
    )
  })

  it('answers UNIMPLEMENTED for methods without a handler', async () => {
    service = await guardedService({})
    expect((await unary(service.client, {})).error?.code).toBe(status.UNIMPLEMENTED)
  })

  it('keeps `this` of handlers that are methods of a class', async () => {
    class Inventory {
      readonly left = 7
      unary(_call: AnyCall, callback: (error: null, answer: unknown) => void) {
        callback(null, { left: this.left })
      }
    }
    service = await guardedService(new Inventory() as Handlers)
    const { answer } = await unary(service.client, {}, withToken(tokenFor({ message: {} })))
    expect(answer).toEqual({ left: 7 })
  })

  it('answers UNAVAILABLE when the token cannot be checked, and tells nothing of why', async () => {
    const away = () => Promise.reject(new Error('redis://:password@10.0.0.1 is away'))
    const broken = { ...createVerifier(), verify: away }
    for (const verifier of [
      broken,
      createVerifier(Date.now, { uses: { use: away } }),
      createVerifier(Date.now, { keys: { keyFor: away } }),
    ]) {
      service = await guardedService(handlers, { verifier, required: false })
      const { error } = await unary(service.client, {}, withToken(tokenFor({ message: {} })))
      expect(error?.code).toBe(status.UNAVAILABLE)
      expect(JSON.stringify([error!.details, error!.metadata])).not.toContain('password')
      service.close()
    }
  })

  it('runs no handler for a call that was cancelled while its token was checked', async () => {
    const checked = Promise.withResolvers<void>()
    const proceed = Promise.withResolvers<void>()
    let called = false
    const inner = createVerifier()
    const verifier = {
      ...inner,
      async verify(...call: Parameters<typeof inner.verify>) {
        checked.resolve()
        await proceed.promise
        return inner.verify(...call)
      },
    }
    const unaryHandler = () => {
      called = true
    }
    service = await guardedService({ unary: unaryHandler }, { verifier })
    const { path, requestSerialize, responseDeserialize } = methods.unary
    const metadata = withToken(tokenFor({ message: {} }))
    const ended = new Promise((resolve) => {
      const call = service!.client.makeUnaryRequest(path, requestSerialize, responseDeserialize, {}, metadata, resolve)
      void checked.promise.then(() => call.cancel())
    })
    expect(await ended).toMatchObject({ code: status.CANCELLED })
    // The answer to a later call shows that the service has heard of the end of the first; and again, of what follows.
    expect((await unary(service.client, {})).error?.code).toBe(status.UNAUTHENTICATED)
    proceed.resolve()
    expect((await unary(service.client, {})).error?.code).toBe(status.UNAUTHENTICATED)
    expect(called).toBe(false)
  })
})
