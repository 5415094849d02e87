import { connect } from 'node:http2'
import { createConnection } from 'node:net'
import { Client, credentials, status } from '@grpc/grpc-js'
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createWorld, type StartedService, type World } from '../world.fixture.ts'
import { healthMethods } from './health.ts'
import { callInventory, protoFolder } from './inventory.fixture.ts'
import { readProtoFile } from './message-types.ts'

const { file, remove } = protoFolder()
afterAll(remove)

let world: World
beforeEach(async () => {
  world = await createWorld()
})
afterEach(() => world[Symbol.asyncDispose]())

const open = { M2MAllowed: false, loginRequired: false }
const onlyServices = { M2MAllowed: true, loginRequired: false }
const api = (method: string, authOptions: object, more: object = {}) => ({
  name: method,
  authOptions,
  grpcSettings: { protoFile: file, service: 'shop.Inventory', method },
  ...more,
})

function started(handler: (input: object) => unknown, document: object = {}): Promise<StartedService> {
  return world.start(
    'inventory',
    { businessApis: [api('DecreaseStock', onlyServices)], ...document },
    { handlers: { DecreaseStock: handler } },
  )
}

function deferred() {
  let resolve = () => {}
  const promise = new Promise<void>((done) => {
    resolve = done
  })
  return { promise, resolve }
}

function health(port: number, service = ''): Promise<string> {
  const { path, requestSerialize, responseDeserialize } = healthMethods.Check!
  const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure())
  return new Promise((resolve) =>
    client.makeUnaryRequest(path, requestSerialize, responseDeserialize, { service }, (error, answer) => {
      client.close()
      resolve(error ? status[error.code]! : (answer as { status: string }).status)
    }),
  )
}

describe('the health of a gRPC service', () => {
  it('is told to anybody, for the server and for each of its services', async () => {
    const { grpcPort } = await started(() => ({}))
    expect(await health(grpcPort!)).toBe('SERVING')
    expect(await health(grpcPort!, 'shop.Inventory')).toBe('SERVING')
    expect(await health(grpcPort!, 'shop.Other')).toBe('NOT_FOUND')
  })

  it('can be watched, and ends with the service', async () => {
    const service = await started(() => ({}))
    const { path, requestSerialize, responseDeserialize } = healthMethods.Watch!
    const client = new Client(`127.0.0.1:${service.grpcPort}`, credentials.createInsecure())
    const watch = client.makeServerStreamRequest(path, requestSerialize, responseDeserialize, { service: '' })
    const seen: unknown[] = []
    watch.on('data', ({ status }) => seen.push(status))
    const ended = new Promise((resolve) => watch.once('end', resolve))
    watch.on('error', () => {})
    await expect.poll(() => seen).toEqual(['SERVING'])
    await service.stop()
    await ended
    expect(seen).toEqual(['SERVING', 'NOT_SERVING'])
    client.close()
  })
})

describe('a gRPC service that stops', () => {
  it('lets the calls that run come to their end, and takes no new ones', async () => {
    const running = deferred()
    const proceed = deferred()
    const service = await started(async () => {
      running.resolve()
      await proceed.promise
      return { left: 3 }
    })
    const call = () => callInventory(world, file, service.grpcPort!, 'DecreaseStock', {}, { as: 'order' })
    const first = call()
    await running.promise
    const stopped = service.stop()
    await expect.poll(() => refusesConnections(service.grpcPort!)).toBe(true)
    expect((await call()).error?.code).toBe(status.UNAVAILABLE)
    proceed.resolve()
    expect((await first).answer).toMatchObject({ left: 3 })
    await stopped
  })

  it('cuts off what does not end in time, and tells the handler', async () => {
    const running = deferred()
    let signal: AbortSignal | undefined
    const service = await world.start(
      'inventory',
      { businessApis: [api('DecreaseStock', onlyServices)] },
      {
        environment: { STOP_TIMEOUT: '0' },
        handlers: {
          DecreaseStock: (_input, context) => {
            signal = context.signal
            running.resolve()
            return new Promise(() => {})
          },
        },
      },
    )
    const cut = callInventory(world, file, service.grpcPort!, 'DecreaseStock', {}, { as: 'order' })
    await running.promise
    await service.stop()
    expect((await cut).error).not.toBeNull()
    await expect.poll(() => signal?.aborted).toBe(true)
  })
})

describe('a document with grpcSettings', () => {
  it.each([
    ['a file that is not there', { protoFile: '/nowhere/inventory.proto' }, /nowhere\/inventory\.proto cannot be used/],
    ['a service that the file has not', { service: 'Inventory2' }, /has no service Inventory2/],
    ['a message for a service', { service: 'shop.Left' }, /has no service shop\.Left/],
    ['a method that the service has not', { method: 'Decrease' }, /has no method Decrease; it has DecreaseStock, Open/],
    ['a method that streams', { method: 'Watch' }, /streams/],
    ['a method called toString', { method: 'toString' }, /has no method toString/],
  ])('is refused for %s', async (_name, settings, message) => {
    const grpcSettings = { protoFile: file, service: 'shop.Inventory', method: 'Open', ...settings }
    const document = { businessApis: [{ name: 'Open', authOptions: open, grpcSettings }] }
    await expect(world.create('inventory', document, { handlers: { Open: () => ({}) } })).rejects.toThrow(message)
  })

  it('is refused where two APIs are one method', async () => {
    const document = { businessApis: [api('Open', open), { ...api('Open', open), name: 'other' }] }
    const handlers = { Open: () => ({}), other: () => ({}) }
    await expect(world.create('inventory', document, { handlers })).rejects.toThrow(/is the gRPC method of another API/)
  })

  it('is refused where the schema requires what no message can hold', async () => {
    const input = { type: 'object', properties: { sku: { type: 'string' } }, required: ['sku'] }
    const document = { businessApis: [api('Open', open, { input })] }
    await expect(world.create('inventory', document, { handlers: { Open: () => ({}) } })).rejects.toThrow(
      /requires "sku", and the message shop\.Decrease has no such field/,
    )
  })

  it('is told at start of numbers whose 0 cannot be told from nothing', async () => {
    const properties = { quantity: { type: 'integer' }, maybe: { type: 'integer' } }
    const input = { type: 'object', properties, required: ['quantity', 'maybe'] }
    await world.start('inventory', { businessApis: [api('Open', open, { input })] }, { handlers: { Open: () => ({}) } })
    const notices = world.log.lines.filter((line) => line.includes('optional'))
    expect(notices).toHaveLength(1)
    expect(notices[0]).toContain('quantity')
  })

  it('may call its members as the .proto file does', async () => {
    let got: unknown
    const input = { type: 'object', properties: { product_id: { type: 'string' } }, required: ['product_id'] }
    const handlers = {
      Open: (given: unknown) => {
        got = given
        return { left: 1 }
      },
    }
    const service = await world.start('inventory', { businessApis: [api('Open', open, { input })] }, { handlers })
    await callInventory(world, file, service.grpcPort!, 'Open', { productId: 'p1' })
    expect(got).toEqual({ product_id: 'p1' })
  })

  it('serves no gRPC where no API has any', async () => {
    const { grpcPort } = await world.start(
      'inventory',
      { businessApis: [{ name: 'plain', authOptions: open }] },
      { handlers: { plain: () => ({}) } },
    )
    expect(grpcPort).toBeUndefined()
  })

  it('does not start where its port is taken', async () => {
    const first = await started(() => ({}))
    const document = { businessApis: [api('Open', open)] }
    const environment = { GRPC_PORT: String(first.grpcPort) }
    await expect(world.start('other', document, { environment, handlers: { Open: () => ({}) } })).rejects.toMatchObject(
      { code: 'cannot_start' },
    )
  })
})

describe('a token with characters that metadata cannot have', () => {
  it('counts as none, and stays out of the log that the library writes', async () => {
    const { grpcPort } = await started(() => ({}))
    const token = world.forge('order', { sender: 'order-service' })
    const session = connect(`http://127.0.0.1:${grpcPort}`)
    const stream = session.request({
      ':method': 'POST',
      ':path': '/shop.Inventory/DecreaseStock',
      'content-type': 'application/grpc',
      te: 'trailers',
      'x-m2m-token': `${token}\u00e9`,
    })
    const answered = new Promise((resolve) => stream.once('response', (headers) => resolve(headers['grpc-status'])))
    stream.end(Buffer.alloc(5))
    expect(await answered).toBe('16')
    session.destroy()
    const dropped = world.log.lines.filter((line) => line.includes('Failed to add metadata entry x-m2m-token'))
    expect(dropped).toHaveLength(1)
    expect(world.log.lines.join()).not.toContain(token.split('.')[2])
  })
})

describe('tenants over gRPC', () => {
  it('come from the signed claim, and nothing else may say otherwise', async () => {
    const service = await world.start(
      'inventory',
      {
        serviceSettings: { serviceOptions: { multiTenant: true } },
        businessApis: [api('DecreaseStock', onlyServices), api('Open', open)],
      },
      {
        handlers: {
          DecreaseStock: (_input, { tenant }) => ({ said: tenant }),
          Open: (_input, { tenant }) => ({ said: tenant }),
        },
      },
    )
    const call = (method: string, options: object) => callInventory(world, file, service.grpcPort!, method, {}, options)
    expect((await call('DecreaseStock', { as: 'order', tenant: 'acme' })).answer.said).toBe('acme')
    const headers = { 'x-tenant-id': 'evil' }
    const crossed = await call('DecreaseStock', { as: 'order', tenant: 'acme', headers })
    expect(crossed.error?.code).toBe(status.UNAUTHENTICATED)
    expect(crossed.error?.metadata.get('m2m-reason')).toEqual(['tenant'])
    expect((await call('DecreaseStock', { as: 'order' })).error?.code).toBe(status.UNAUTHENTICATED)
    expect((await call('Open', { headers })).answer.said).toBe('evil')
    expect((await call('Open', {})).error).toMatchObject({ code: status.INVALID_ARGUMENT })
    expect((await call('Open', { headers: { 'x-tenant-id': 'a b/../c' } })).error?.code).toBe(status.INVALID_ARGUMENT)
  })
})

describe('what the schema and the .proto file do not know', () => {
  it('is bound all the same: a field that was added on the way breaks the token', async () => {
    const service = await started((input) => ({ said: JSON.stringify(input) }))
    const { path, requestSerialize, responseDeserialize } = readProtoFile(file, false).methodsOf('shop.Inventory')!
      .DecreaseStock!
    // Field 100, a varint.
    const unknown = Buffer.from([0xa0, 0x06, 0x01])
    const { signedCallOptions } = await import('@countersign/client/grpc')
    const call = (serialize: (message: object) => Buffer, tamper: (bytes: Buffer) => Buffer) =>
      new Promise<{ code?: number; said?: string }>((resolve) => {
        const { interceptors } = signedCallOptions(
          { sign: (call) => world.signer('order').sign(call) },
          { audience: 'inventory-service' },
        )
        const client = new Client(`127.0.0.1:${service.grpcPort}`, credentials.createInsecure())
        const late: (typeof interceptors)[number] = (options, next) => {
          const inner = next(options)
          const definition = options.method_definition
          const signed = definition.requestSerialize
          definition.requestSerialize = (value) => tamper(signed(value))
          return interceptors[0]!(
            { ...options, method_definition: { ...definition, requestSerialize: serialize } },
            () => inner,
          )
        }
        client.makeUnaryRequest(
          path,
          serialize,
          responseDeserialize,
          { productId: 'p1' },
          { interceptors: tamper === same ? interceptors : [late] },
          (error, answer) => {
            client.close()
            resolve(error ? { code: error.code } : (answer as object))
          },
        )
      })
    const withUnknown = (message: object) => Buffer.concat([requestSerialize(message), unknown])
    expect((await call(withUnknown, same)).said).toBe('{"productId":"p1"}')
    expect(await call(requestSerialize, (bytes) => Buffer.concat([bytes, unknown]))).toEqual({
      code: status.UNAUTHENTICATED,
    })
  })
})

const same = (bytes: Buffer) => bytes

function refusesConnections(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection(port, '127.0.0.1')
    socket.once('connect', () => {
      socket.destroy()
      resolve(false)
    })
    socket.once('error', () => resolve(true))
  })
}

describe('a gRPC call that is refused', () => {
  it('stands in the log with its reason', async () => {
    const service = await started(() => ({}))
    await callInventory(world, file, service.grpcPort!, 'DecreaseStock', {})
    const line = { operation: 'DecreaseStock', transport: 'grpc', status: 401, reason: 'missing_credential' }
    await expect
      .poll(() => world.log.lines.map((text) => JSON.parse(text)))
      .toContainEqual(expect.objectContaining(line))
  })
})
