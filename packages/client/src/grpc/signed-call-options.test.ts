import {
  checkServiceToken,
  createServiceTokenSigner,
  generateSigningKey,
  grpcBinding,
  importPublicJwk,
  parseJwt,
} from '@countersign/tokens'
import {
  type CallOptions,
  type Client,
  type ClientOptions,
  compressionAlgorithms,
  InterceptingCall,
  type Interceptor,
  Metadata,
  status,
} from '@grpc/grpc-js'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import {
  type InventoryServer,
  inventoryClient,
  inventoryServer,
  methods,
  type Outcome,
  type SeenCall,
  serialisations,
} from './inventory-server.fixture.ts'
import { signedCallOptions } from './signed-call-options.ts'
import type { CallSigner } from './signing-call.ts'

const key = await generateSigningKey('EdDSA')
const signer = createServiceTokenSigner({
  name: 'order',
  key: { key: key.privateKey, publicJwk: key.publicJwk },
  now: Date.now,
})

let server: InventoryServer
let client: Client
beforeEach(async () => {
  server = await inventoryServer()
  client = signedClient()
})
afterEach(() => {
  client.close()
  server.close()
})

function signedClient(options: Partial<ClientOptions> = {}, by: CallSigner = signer): Client {
  return inventoryClient(server.address, { ...signedCallOptions(by, { audience: 'inventory-service' }), ...options })
}

function unary(message: unknown, metadata = new Metadata(), options: CallOptions = {}): Promise<Outcome> {
  const { path, requestSerialize, responseDeserialize } = methods.unary
  return new Promise((resolve) =>
    client.makeUnaryRequest(path, requestSerialize, responseDeserialize, message, metadata, options, (error, answer) =>
      resolve({ error, answer }),
    ),
  )
}

/** Verifies what the server saw as a receiver would: against the bytes, the method, and its own name. */
function verified(call: SeenCall, message: Uint8Array | null): Record<string, unknown> {
  const tokens = call.metadata.get('x-m2m-token')
  expect(tokens).toHaveLength(1)
  const rules = { audiences: ['inventory-service'], binding: grpcBinding({ method: call.method, message }) }
  return checkServiceToken(parseJwt(String(tokens[0])), importPublicJwk(key.publicJwk), rules, Date.now() / 1000)
}

describe('a signed gRPC call', () => {
  it('binds a unary call to its method and its bytes, and serialises them once', async () => {
    const before = serialisations.count
    const { error, answer } = await unary({ productId: 'p1', quantity: 2 })
    expect(error).toBeNull()
    expect(answer).toEqual({ left: 3 })
    expect(serialisations.count - before).toBe(1)
    const [call] = server.seen
    expect(verified(call!, call!.messages[0]!)).toMatchObject({ sender: 'order-service', aud: 'inventory-service' })
    expect(() => verified(call!, Buffer.from('{"productId":"p1","quantity":3}'))).toThrow(
      expect.objectContaining({ part: 'digest' }),
    )
    expect(() => verified(call!, null)).toThrow(expect.objectContaining({ part: 'digest' }))
  })

  it('binds a server-streaming call to its one request', async () => {
    const { path, requestSerialize, responseDeserialize } = methods.serverStream
    const before = serialisations.count
    const stream = client.makeServerStreamRequest(path, requestSerialize, responseDeserialize, { productId: 'p1' })
    expect(await Array.fromAsync(stream)).toEqual([{ left: 3 }])
    expect(serialisations.count - before).toBe(1)
    verified(server.seen[0]!, server.seen[0]!.messages[0]!)
  })

  it('starts a client-streaming call at once, bound to its method alone', async () => {
    const { path, requestSerialize, responseDeserialize } = methods.clientStream
    const outcome = await new Promise<Outcome>((resolve) => {
      const stream = client.makeClientStreamRequest(path, requestSerialize, responseDeserialize, (error, answer) =>
        resolve({ error, answer }),
      )
      stream.write({ productId: 'p1' })
      stream.write({ productId: 'p2' })
      stream.end()
    })
    expect(outcome.answer).toEqual({ left: 3 })
    expect(server.seen[0]!.messages.map(String)).toEqual(['{"productId":"p1"}', '{"productId":"p2"}'])
    verified(server.seen[0]!, null)
  })

  it('starts a bidirectional call before any message is there', async () => {
    const { path, requestSerialize, responseDeserialize } = methods.bidi
    const stream = client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize)
    await expect.poll(() => server.seen.length).toBe(1)
    verified(server.seen[0]!, null)
    const answers = Array.fromAsync(stream)
    stream.write({ productId: 'p1' })
    stream.end()
    expect(await answers).toEqual([{ left: 3 }])
  })

  it('signs what the receiver gets after decompression', async () => {
    client.close()
    client = signedClient({ 'grpc.default_compression_algorithm': compressionAlgorithms.gzip })
    const { error } = await unary({ productId: 'x'.repeat(5000) })
    expect(error).toBeNull()
    expect(server.seen[0]!.messages[0]!.length).toBeGreaterThan(5000)
    verified(server.seen[0]!, server.seen[0]!.messages[0]!)
  })

  it("keeps the user's metadata as it is, and puts its own token in place of his", async () => {
    const metadata = new Metadata()
    metadata.set('x-request-id', 'r1')
    metadata.set('M2M-Token', 'forged')
    metadata.set('x-m2m-token', 'forged')
    metadata.set('trace-bin', Buffer.from([1, 2]))
    await unary({}, metadata)
    await unary({}, metadata)
    expect(metadata.get('x-m2m-token')).toEqual(['forged'])
    const [first, second] = server.seen
    expect(first!.metadata.get('x-request-id')).toEqual(['r1'])
    expect(first!.metadata.get('trace-bin')).toEqual([Buffer.from([1, 2])])
    expect(first!.metadata.get('m2m-token')).toEqual([])
    expect(verified(first!, Buffer.from('{}')).jti).not.toBe(verified(second!, Buffer.from('{}')).jti)
  })

  it('signs for a tenant that is asked for at each call', async () => {
    let tenant: string | undefined = 'acme'
    client.close()
    client = inventoryClient(
      server.address,
      signedCallOptions(signer, { audience: 'inventory-service', tenant: () => tenant }),
    )
    await unary({})
    tenant = undefined
    await unary({})
    expect(verified(server.seen[0]!, Buffer.from('{}')).tenant).toBe('acme')
    expect(verified(server.seen[1]!, Buffer.from('{}')).tenant).toBeUndefined()
  })

  it('tells the receiver the deadline', async () => {
    await unary({}, new Metadata(), { deadline: Date.now() + 60_000 })
    expect(Number(server.seen[0]!.deadline)).toBeLessThanOrEqual(Date.now() + 61_000)
  })

  it('waits for a server that is not there yet where the user asks for it', async () => {
    const { address } = server
    server.close()
    const metadata = new Metadata({ waitForReady: true })
    const outcome = unary({ productId: 'p1' }, metadata, { deadline: Date.now() + 30_000 })
    server = await inventoryServer(Number(address.split(':')[1]))
    expect((await outcome).error).toBeNull()
    verified(server.seen[0]!, Buffer.from('{"productId":"p1"}'))
  })

  it('is not tried again by the library, whatever the service config says', async () => {
    server.failWith = status.UNAVAILABLE
    client.close()
    const retryPolicy = {
      maxAttempts: 4,
      initialBackoff: '0.01s',
      maxBackoff: '0.01s',
      backoffMultiplier: 1,
      retryableStatusCodes: ['UNAVAILABLE'],
    }
    const config = { loadBalancingConfig: [], methodConfig: [{ name: [{}], retryPolicy }] }
    client = signedClient({ 'grpc.service_config': JSON.stringify(config) })
    expect((await unary({})).error?.code).toBe(status.UNAVAILABLE)
    expect(server.seen).toHaveLength(1)

    client.close()
    client = signedClient({ 'grpc.service_config': JSON.stringify(config), 'grpc.enable_retries': 1 })
    await unary({})
    expect(server.seen.length, 'the config would have had it tried again').toBe(5)
  })
})

describe('a gRPC call that cannot be signed or sent', () => {
  it('ends with INTERNAL and sends nothing when the signer fails', async () => {
    client.close()
    client = signedClient({}, { sign: () => { throw new Error('the key is gone') } }) // biome-ignore format: one line
    const { error } = await unary({})
    expect(error).toMatchObject({ code: status.INTERNAL, details: expect.stringContaining('the key is gone') })
    const { path, requestSerialize, responseDeserialize } = methods.bidi
    const stream = client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize)
    stream.write({})
    await expect(Array.fromAsync(stream)).rejects.toMatchObject({ code: status.INTERNAL })
    expect(server.seen).toHaveLength(0)
  })

  it('ends with INTERNAL when the message cannot be serialised', async () => {
    const cycle: Record<string, unknown> = {}
    cycle.self = cycle
    expect((await unary(cycle)).error).toMatchObject({
      code: status.INTERNAL,
      details: expect.stringMatching(/serialization/),
    })
    expect(server.seen).toHaveLength(0)
  })

  it('does not send a message that an interceptor changed after it was signed', async () => {
    const swap: Interceptor = (options, next) =>
      new InterceptingCall(next(options), { sendMessage: (_message, pass) => pass({ productId: 'other' }) })
    const { interceptors } = signedCallOptions(signer, { audience: 'inventory-service' })
    const late = await unary({ productId: 'p1' }, new Metadata(), { interceptors: [...interceptors, swap] })
    expect(late.error).toMatchObject({ code: status.INTERNAL, details: expect.stringMatching(/changed the message/) })
    expect(server.seen.every(({ messages }) => messages.length === 0)).toBe(true)

    const early = await unary({ productId: 'p1' }, new Metadata(), { interceptors: [swap, ...interceptors] })
    expect(early.error).toBeNull()
    verified(server.seen.at(-1)!, Buffer.from('{"productId":"other"}'))
  })
})

describe('a gRPC call whose message is held back by another interceptor', () => {
  let release: () => void
  const hold: Interceptor = (options, next) =>
    new InterceptingCall(next(options), {
      sendMessage(message, pass) {
        release = () => pass(message)
      },
    })
  const holding = () => [hold, ...signedCallOptions(signer, { audience: 'inventory-service' }).interceptors]

  it('can be cancelled, and is never sent then', async () => {
    const { path, requestSerialize, responseDeserialize } = methods.unary
    const outcome = new Promise<Outcome>((resolve) => {
      const call = client.makeUnaryRequest(
        path,
        requestSerialize,
        responseDeserialize,
        {},
        { interceptors: holding() },
        (error) => resolve({ error }),
      )
      setImmediate(() => call.cancel())
    })
    expect((await outcome).error?.code).toBe(status.CANCELLED)
    release()
    expect((await unary({ productId: 'after' })).error).toBeNull()
    expect(server.seen.map(({ messages }) => String(messages[0]))).toEqual(['{"productId":"after"}'])
  })

  it('ends at its deadline', async () => {
    const { error } = await unary({}, new Metadata(), { interceptors: holding(), deadline: Date.now() + 50 })
    expect(error?.code).toBe(status.DEADLINE_EXCEEDED)
    release()
    expect(server.seen).toHaveLength(0)
  })

  it('goes on when the message comes', async () => {
    const outcome = unary({ productId: 'p1' }, new Metadata(), { interceptors: holding() })
    setImmediate(() => release())
    expect((await outcome).error).toBeNull()
    verified(server.seen[0]!, Buffer.from('{"productId":"p1"}'))
  })
})
