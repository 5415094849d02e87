import { Server, ServerCredentials } from '@grpc/grpc-js'
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type AnyJson, createWorld, type StartedService, type World } from '../world.fixture.ts'
import { createGrpcCalls } from './grpc-calls.ts'
import { protoFolder } from './inventory.fixture.ts'
import { readTypes, typesMethod } from './served-types.ts'

const { file, remove } = protoFolder()
afterAll(remove)

let world: World
let inventory: StartedService
let received: AnyJson
let handler: (input: AnyJson, context: AnyJson) => unknown
beforeEach(async () => {
  world = await createWorld()
  handler = ({ quantity }) => ({ left: 10 - quantity, big: 5, said: 'ok' })
  const document = {
    businessApis: [
      {
        name: 'decreaseStock',
        authOptions: { M2MAllowed: true, loginRequired: false },
        grpcSettings: { protoFile: file, service: 'shop.Inventory', method: 'DecreaseStock' },
      },
      { name: 'onlyRest', authOptions: { M2MAllowed: true, loginRequired: false } },
    ],
  }
  inventory = await world.start('inventory', document, {
    handlers: {
      decreaseStock: (input, context) => {
        received = { input, context }
        return handler(input, context)
      },
      onlyRest: () => ({}),
    },
  })
})
afterEach(() => world[Symbol.asyncDispose]())

function order(parameters: Record<string, string>, targetApi = 'decreaseStock') {
  const apiParameters = Object.entries(parameters).map(([name, value]) => ({ name, value }))
  const action = { name: 'update', targetService: 'inventory', targetApi, apiParameters, transport: 'grpc' }
  return world.start('order', { actions: { interserviceCallActions: [action] } })
}

describe('an InterserviceCallAction over gRPC', () => {
  it('calls by name, signed, with values from the context, and gives the answer', async () => {
    const { actions } = await order({ productId: 'this.productId', quantity: 'this.quantity', counts: 'this.counts' })
    const answer = await actions.update!({ productId: 'p1', quantity: 3, counts: { x: 1 } })
    expect(answer).toEqual({ left: 7, big: 5, said: 'ok', items: [], counts: {} })
    expect(received.input).toEqual({ productId: 'p1', quantity: 3, counts: { x: 1 } })
    expect(received.context).toMatchObject({ transport: 'grpc', caller: { clientId: 'order-service' } })
    await actions.update!({ productId: 'p2', quantity: 1 })
    expect(received.input.productId).toBe('p2')
  })

  it('refuses values that are no such message, before anything is sent', async () => {
    const { actions } = await order({ productId: 'this.productId', quantity: 'this.quantity' })
    received = undefined
    await expect(actions.update!({ productId: 'p1', quantity: 'many' })).rejects.toThrow(/quantity is no int32/)
    await expect(actions.update!({ productId: 5 })).rejects.toThrow(/productId is no string/)
    await expect((await order({ sku: '"p1"' })).actions.update!({})).rejects.toThrow(/has no field sku/)
    expect(received).toBeUndefined()
  })

  it('says what was refused and why, and nothing that the other side wrote', async () => {
    handler = () => {
      throw new Error('hunter2')
    }
    const { actions } = await order({ productId: '"p1"' })
    const failed = actions.update!({})
    await expect(failed).rejects.toMatchObject({ name: 'ActionError', code: 'refused' })
    await expect(failed).rejects.toThrow('/shop.Inventory/DecreaseStock answered INTERNAL (operation_failed)')
    const offline = (await order({ productId: '"p1"' }, 'onlyRest')).actions.update!({})
    await expect(offline).rejects.toMatchObject({ code: 'unknown_api' })
  })

  it('is unreachable where nobody listens, and reaches whoever comes back', async () => {
    const calls = createGrpcCalls(world.signer('order'))
    const call = (port: number) =>
      calls.call({
        action: 'update',
        service: 'inventory',
        baseUrl: 'http://127.0.0.1:1',
        api: { method: 'POST', path: '/x', grpc: { service: 'shop.Inventory', method: 'DecreaseStock', port } },
        parameters: { quantity: 1 },
        tenant: 'acme',
        timeoutMilliseconds: 3_000,
      })
    await expect(call(1)).rejects.toMatchObject({ code: 'unreachable' })
    expect(await call(inventory.grpcPort!)).toMatchObject({ left: 9 })
    expect(received.context.tenant).toBe('acme')
    calls.close()
  })

  it('signs nothing without a key', async () => {
    const calls = createGrpcCalls(undefined)
    await expect(calls.call({ action: 'update' } as never)).rejects.toMatchObject({ code: 'not_signed' })
  })
})

describe('message types that another service tells', () => {
  it.each([
    ['code for a name', { nested: { 'x(){}};evil();{': { fields: {} } } }],
    ['code for a type', { nested: { A: { fields: { a: { type: 'int32;evil()', id: 1 } } } } }],
    ['code for a field', { nested: { A: { fields: { 'a"]=evil()//': { type: 'int32', id: 1 } } } } }],
    ['code for a value', { nested: { A: { values: { 'A:evil()': 0 } } } }],
    ['code for a number', { nested: { A: { fields: { a: { type: 'int32', id: 'evil()' } } } } }],
    ['a name of every object', { nested: { A: { fields: { __proto__x: { type: 'int32', id: 0 } } } } }],
  ])('are refused with %s', (_name, types) => {
    expect(() => readTypes(JSON.stringify(types))).toThrow()
  })

  it('are refused with __proto__, twice the same name, too deep or too large', () => {
    expect(() => readTypes('{"nested":{"__proto__":{"fields":{}}}}')).toThrow()
    expect(() => readTypes('{"nested":{"A":{},"A":{}}}')).toThrow()
    expect(() => readTypes(`${'{"nested":{"A":'.repeat(100)}{}${'}}'.repeat(100)}`)).toThrow()
    expect(() => readTypes(`{"nested":{}${' '.repeat(1024 * 1024)}}`)).toThrow()
  })

  it('lose every option but the one that says what may be absent', () => {
    const options = { proto3_optional: true, java_package: 'evil', '(custom)': 1 }
    const read = readTypes(
      JSON.stringify({ nested: { A: { options, fields: { a: { type: 'int32', id: 1, options } } } } }),
    )
    expect(read).toEqual({
      nested: { A: { fields: { a: { type: 'int32', id: 1, options: { proto3_optional: true } } } } },
    })
  })

  it('are no use where they are of another method', async () => {
    const server = new Server()
    server.addService({ Get: typesMethod }, {
      Get: (_call: unknown, callback: (error: null, types: string) => void) => callback(null, '{"nested":{}}'),
    } as never)
    const port = await new Promise<number>((done) =>
      server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (_error, bound) => done(bound)),
    )
    const calls = createGrpcCalls(world.signer('order'))
    const api = { method: 'POST', path: '/x', grpc: { service: 'shop.Inventory', method: 'DecreaseStock', port } }
    const call = { action: 'update', service: 'inventory', baseUrl: 'http://127.0.0.1:1', api, parameters: {} }
    await expect(calls.call({ ...call, tenant: undefined, timeoutMilliseconds: 2_000 })).rejects.toMatchObject({
      code: 'unreachable',
    })
    calls.close()
    server.forceShutdown()
  })
})
