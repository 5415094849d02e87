import { signedCallOptions } from '@countersign/client/grpc'
import { createServiceTokenVerifier } from '@countersign/guard'
import { guardGrpc } from '@countersign/guard/grpc'
import { createMemorySingleUse } from '@countersign/limits'
import { createServiceTokenSigner, generateSigningKey, importPublicJwk } from '@countersign/tokens'
import {
  Client,
  compressionAlgorithms,
  credentials,
  Metadata,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServiceDefinition,
  type sendUnaryData,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { describeWith } from './describe-with.ts'
import { freePort } from './free-port.ts'
import { preparePython } from './python.ts'

type Call = ServerDuplexStream<Buffer, Buffer> & { request: Buffer }
type Answer = sendUnaryData<Buffer>

await describeWith(preparePython, 'grpcio', (python) => {
  const audience = 'inventory-service'
  const server = new Server()
  let key: Awaited<ReturnType<typeof generateSigningKey>>
  let address: string

  beforeAll(async () => {
    key = await generateSigningKey('EdDSA')
    const uses = createMemorySingleUse({ now: () => Date.now() - 60_000 })
    const publicKey = importPublicJwk(key.publicJwk)
    const verifier = createServiceTokenVerifier({ name: 'inventory', keys: { keyFor: () => publicKey }, uses })
    const handlers = {
      unary: (call: Call, callback: Answer) => callback(null, call.request),
      serverStream(call: Call) {
        call.write(call.request)
        call.end()
      },
      clientStream: async (call: Call, callback: Answer) => callback(null, Buffer.concat(await Array.fromAsync(call))),
      async bidi(call: Call) {
        for await (const message of call) call.write(message)
        call.end()
      },
    } as unknown as UntypedServiceImplementation
    server.addService(...guardGrpc(verifier, definition, handlers))
    const port = await new Promise<number>((done, failed) =>
      server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
        error ? failed(error) : done(bound),
      ),
    )
    address = `127.0.0.1:${port}`
  })
  afterAll(() => server.forceShutdown())

  it('signs with PyJWT and calls our guard, in four kinds and compressed', async () => {
    const long = 'x'.repeat(10_000)
    const outcomes = await ask([
      { kind: 'unary_unary', path: paths.unary, message: 'one' },
      { kind: 'unary_unary', path: paths.unary, message: long, gzip: true },
      { kind: 'unary_unary', path: paths.unary, message: '' },
      { kind: 'unary_stream', path: paths.serverStream, message: 'one' },
      { kind: 'stream_unary', path: paths.clientStream, message: null, messages: ['one', 'two'] },
      { kind: 'stream_stream', path: paths.bidi, message: null, messages: ['one', 'two'] },
    ])
    expect(outcomes).toEqual([
      { code: 'OK', answers: ['one'] },
      { code: 'OK', answers: [long] },
      { code: 'OK', answers: [''] },
      { code: 'OK', answers: ['one'] },
      { code: 'OK', answers: ['onetwo'] },
      { code: 'OK', answers: ['one', 'two'] },
    ])
  })

  it('reads why it was refused', async () => {
    const good = { kind: 'unary_unary', path: paths.unary, message: 'one' }
    const outcomes = await ask([
      { ...good, signed: 'two' },
      { ...good, signed: null },
      { ...good, names: [] },
      { ...good, names: ['x-m2m-token', 'x-m2m-token'] },
      { ...good, names: ['x-m2m-token', 'm2m-token'] },
      { ...good, names: ['m2m-token'] },
    ])
    const refused = (reason: string) => ({ code: 'UNAUTHENTICATED', details: expect.any(String), reason })
    expect(outcomes).toEqual([
      refused('digest'),
      refused('digest'),
      refused('missing_credential'),
      refused('malformed'),
      refused('malformed'),
      { code: 'OK', answers: ['one'] },
    ])
  })

  it('gets our calls as a server, and finds them bound to what came', async () => {
    const place = `127.0.0.1:${await freePort()}`
    const received = python.ask('grpc_receiver.py', { address: place, jwk: key.publicJwk, audience, calls: 3 })
    const signer = createServiceTokenSigner({
      name: 'order',
      key: { key: key.privateKey, publicJwk: key.publicJwk },
      now: Date.now,
    })
    const client = (options: object = {}) =>
      new Client(place, credentials.createInsecure(), { ...signedCallOptions(signer, { audience }), ...options })
    const plain = client()
    const zipped = client({ 'grpc.default_compression_algorithm': compressionAlgorithms.gzip })
    const patient = new Metadata({ waitForReady: true })
    const options = { deadline: Date.now() + 25_000 }
    const unary = (through: Client, message: string) =>
      new Promise<string>((resolve, reject) =>
        through.makeUnaryRequest(
          '/shop.Inventory/One',
          Buffer.from,
          same,
          message,
          patient,
          options,
          (error, answer) => (error ? reject(error) : resolve(String(answer))),
        ),
      )
    expect(await unary(plain, 'one')).toBe('one')
    expect(await unary(zipped, 'z'.repeat(10_000))).toHaveLength(10_000)
    const streamed = await new Promise((resolve, reject) => {
      const stream = plain.makeClientStreamRequest(
        '/shop.Inventory/Stream',
        Buffer.from,
        same,
        patient,
        options,
        (error, answer) => (error ? reject(error) : resolve(String(answer))),
      )
      stream.write('one')
      stream.write('two')
      stream.end()
    })
    expect(streamed).toBe('one,two')
    plain.close()
    zipped.close()
    expect(await received).toEqual(Array(3).fill({ tokens: 1, sender: 'order-service', bound: true }))
  })

  function ask(cases: object[]): Promise<object[]> {
    const pem = key.privateKey.export({ type: 'pkcs8', format: 'pem' })
    return python.ask('grpc_caller.py', { address, key: pem, kid: key.kid, sender: 'order-service', audience, cases })
  }
})

const paths = {
  unary: '/shop.Inventory/Unary',
  serverStream: '/shop.Inventory/ServerStream',
  clientStream: '/shop.Inventory/ClientStream',
  bidi: '/shop.Inventory/Bidi',
}

const definition: ServiceDefinition = {
  unary: method(paths.unary, false, false),
  serverStream: method(paths.serverStream, false, true),
  clientStream: method(paths.clientStream, true, false),
  bidi: method(paths.bidi, true, true),
}

function method(path: string, requestStream: boolean, responseStream: boolean) {
  const bytes = { requestSerialize: same, requestDeserialize: same, responseSerialize: same, responseDeserialize: same }
  return { path, requestStream, responseStream, ...bytes }
}

function same(bytes: Buffer): Buffer {
  return bytes
}
