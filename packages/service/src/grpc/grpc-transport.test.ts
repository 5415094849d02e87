import { status } from '@grpc/grpc-js'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { Problem } from '../problem.ts'
import type { ServiceContext } from '../service-context.ts'
import { type AnyJson, createWorld, type StartedService, type World } from '../world.fixture.ts'
import { type CallOptions, callInventory, protoFolder } from './inventory.fixture.ts'

const { file, remove } = protoFolder()
const rows = {
  DecreaseStock: { M2MAllowed: true, loginRequired: false },
  Either: { M2MAllowed: true, loginRequired: true },
  Session: { M2MAllowed: false, loginRequired: true },
  Open: { M2MAllowed: false, loginRequired: false },
} as const
type Method = keyof typeof rows

let world: World
let service: StartedService
const inputs: unknown[] = []
let answer: (input: AnyJson, context: ServiceContext) => unknown

beforeAll(async () => {
  world = await createWorld()
  const input = {
    type: 'object',
    properties: {
      productId: { type: 'string' },
      quantity: { type: 'integer', minimum: 1 },
      big: { type: ['integer', 'string'] },
      tags: { type: 'array', minItems: 1 },
    },
    required: ['productId', 'quantity'],
  }
  const document = {
    serviceSettings: { serviceOptions: { machineToMachineBlockList: ['payment'] } },
    businessApis: Object.entries(rows).map(([method, authOptions]) => ({
      name: method,
      authOptions,
      grpcSettings: { protoFile: file, service: 'shop.Inventory', method },
      input,
    })),
  }
  const handler = (input: AnyJson, context: ServiceContext) => {
    inputs.push(input)
    return answer(input, context)
  }
  service = await world.start('inventory', document, {
    handlers: Object.fromEntries(Object.keys(rows).map((method) => [method, handler])),
  })
})
afterAll(async () => {
  await world[Symbol.asyncDispose]()
  remove()
})
beforeEach(() => {
  inputs.length = 0
  world.log.lines.length = 0
  answer = (_input, { caller, session, m2mPayload, transport }) => ({
    left: 3,
    said: `${transport} ${caller?.clientId ?? caller?.subject} ${m2mPayload?.sender} ${session?.subject}`,
  })
})

const good = { productId: 'p1', quantity: 2 }
const call = (method: Method, options: CallOptions = {}, message: object = good) =>
  callInventory(world, file, service.grpcPort!, method, message, options)
const bySession = (claims = {}) => ({ headers: { authorization: `Bearer ${world.userToken(claims)}` } })

describe('the decision table over gRPC', () => {
  it.each(['DecreaseStock', 'Either'] as const)(
    'validates a service token where it is allowed (%s)',
    async (method) => {
      const { error, answer } = await call(method, { as: 'order' })
      expect(error).toBeNull()
      expect(answer.said).toBe('grpc order-service order-service undefined')
    },
  )

  it.each(['DecreaseStock', 'Either'] as const)(
    'never falls back to the session from a wrong token (%s)',
    async (method) => {
      for (const token of ['not.a.token', '', 'eyJhbGciOiJub25lIn0.e30.']) {
        const { error } = await call(method, { headers: { ...bySession().headers, 'x-m2m-token': token } })
        expect(error?.code).toBe(status.UNAUTHENTICATED)
        expect(error?.metadata.get('m2m-error')).toEqual(['InvalidM2MToken'])
      }
      expect(inputs).toEqual([])
    },
  )

  it('asks for a service token where only services may call, whatever session there is', async () => {
    for (const options of [{}, bySession()]) {
      const { error } = await call('DecreaseStock', options)
      expect(error?.code).toBe(status.UNAUTHENTICATED)
      expect(error?.details).toMatch(/^RequiresM2MToken/)
    }
  })

  it.each(['Either', 'Session'] as const)('makes the session from the metadata authorization (%s)', async (method) => {
    expect((await call(method, bySession())).answer.said).toBe('grpc shop undefined alice')
    const wrong: Record<string, string>[] = [
      {},
      { authorization: 'Bearer nonsense' },
      { authorization: 'Basic x' },
      { cookie: `session=${world.userToken()}` },
    ]
    for (const headers of wrong) {
      expect((await call(method, { headers })).error?.code).toBe(status.UNAUTHENTICATED)
    }
    expect((await call(method, { headers: { authorization: 'Bearer a b' } })).error?.code).toBe(status.INVALID_ARGUMENT)
    expect(inputs).toHaveLength(1)
  })

  it('does not look at a service token where it is not allowed', async () => {
    expect((await call('Session', { as: 'order' })).error?.code).toBe(status.UNAUTHENTICATED)
    const headers = { ...bySession().headers, 'x-m2m-token': 'nonsense' }
    expect((await call('Session', { headers })).answer.said).toBe('grpc shop undefined alice')
    expect((await call('Open', { headers: { 'x-m2m-token': 'nonsense' } })).answer.said).toBe(
      'grpc undefined undefined undefined',
    )
  })

  it('refuses a sender who is blocked with PERMISSION_DENIED, in the words of the contract', async () => {
    const { error } = await call('DecreaseStock', { as: 'payment' })
    expect(error).toMatchObject({
      code: status.PERMISSION_DENIED,
      details: "M2M token sender 'payment-service' is in the M2M block list",
    })
  })
})

describe('input and answer over gRPC', () => {
  it('gives the handler what REST would give it', async () => {
    await call('Open', {}, {
      ...good,
      big: '9007199254740993',
      huge: 7,
      raw: Buffer.from([0, 1, 255]),
      reason: 'SOLD',
      items: [{ sku: 'a', sizes: [1, 2] }],
      counts: { x: 1 },
      maybe: 0,
    }) // biome-ignore format: one object
    expect(inputs).toEqual([
      {
        productId: 'p1',
        quantity: 2,
        big: '9007199254740993',
        huge: 7,
        raw: 'AAH/',
        reason: 'SOLD',
        items: [{ sku: 'a', sizes: [1, 2] }],
        counts: { x: 1 },
        maybe: 0,
      },
    ])
  })

  it('checks it by the same schema, as INVALID_ARGUMENT naming the member', async () => {
    const missing = await call('Open', {}, { quantity: 2 })
    expect(missing.error).toMatchObject({ code: status.INVALID_ARGUMENT, details: '"productId" is missing' })
    expect(missing.error?.metadata.get('problem-code')).toEqual(['invalid_input'])
    const problem = JSON.parse(String(missing.error?.metadata.get('problem-bin')[0]))
    expect(problem).toMatchObject({ status: 422, code: 'invalid_input', errors: [{ path: 'productId' }] })
    expect((await call('Open', {}, { ...good, quantity: -1 })).error?.code).toBe(status.INVALID_ARGUMENT)
    expect(inputs).toEqual([])
  })

  it('maps what the handler gave to the answer, and what it has no field for is left out', async () => {
    answer = () => ({ left: 7, big: 9007199254740993n, items: [{ sku: 'a' }], counts: { x: 1 }, internal: 'note' })
    const { answer: got } = await call('Open')
    expect(got).toMatchObject({ left: 7, items: [{ sku: 'a' }], counts: { x: 1 } })
    expect(String(got.big)).toBe('9007199254740993')
    answer = () => undefined
    expect((await call('Open')).error).toBeNull()
  })

  it.each([
    ['a text for a number', { left: 'many' }],
    ['a fraction for an integer', { left: 1.5 }],
    ['a number that is too large', { left: 2 ** 31 }],
    ['a list for a message', []],
    ['a text', 'three'],
    ['a message for a list', { items: { sku: 'a' } }],
  ])('fails as a whole for an answer that is no such message: %s', async (_name, result) => {
    answer = () => result
    const { error } = await call('Open')
    expect(error).toMatchObject({ code: status.INTERNAL, details: 'The method failed.' })
    expect(world.log.lines.join()).toContain('what the handler gave is no Left')
  })

  it.each([
    [404, status.NOT_FOUND],
    [409, status.ABORTED],
    [422, status.INVALID_ARGUMENT],
    [429, status.RESOURCE_EXHAUSTED],
    [503, status.UNAVAILABLE],
    [418, status.FAILED_PRECONDITION],
  ])('tells a Problem of status %i as code %i', async (httpStatus, code) => {
    answer = () => {
      throw new Problem(httpStatus, 'out_of_stock', 'there is none left', { left: 0 })
    }
    const { error } = await call('Open')
    expect(error).toMatchObject({ code, details: 'there is none left' })
    expect(error?.metadata.get('problem-code')).toEqual(['out_of_stock'])
  })

  it('tells nothing of what else the handler throws, and logs it', async () => {
    answer = () => {
      throw Object.assign(new Error('postgres://app:hunter2@db'), { code: status.NOT_FOUND, details: 'hunter2' })
    }
    const { error } = await call('Open')
    expect(error?.code).toBe(status.INTERNAL)
    expect(JSON.stringify([error, error?.metadata.toJSON()])).not.toContain('hunter2')
    expect(String(error?.metadata.get('problem-bin')[0])).toContain('incident')
    expect(world.log.lines.join()).toContain('hunter2')
  })

  it('counts and logs each call once, without its token', async () => {
    await call('DecreaseStock', { as: 'order' })
    await call('DecreaseStock', { headers: { 'x-m2m-token': `${world.userToken()}` } })
    const metrics = await (await fetch(`${service.url}/metrics`)).text()
    expect(metrics).toMatch(
      /countersign_service_calls_total\{operation="DecreaseStock",transport="grpc",status="200"\} \d/,
    )
    expect(metrics).toMatch(
      /countersign_service_calls_total\{operation="DecreaseStock",transport="grpc",status="401"\} \d/,
    )
    expect(world.log.lines.join()).not.toMatch(/eyJ/)
  })
})
