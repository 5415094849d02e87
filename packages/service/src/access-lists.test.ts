import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type AnyJson, createWorld, type World } from './world.fixture.ts'

let world: World
beforeAll(async () => {
  world = await createWorld()
})
afterAll(() => world[Symbol.asyncDispose]())

const callAs = async (sender: string, serviceOptions: object, environment: Record<string, string>) => {
  const service = await world.start(
    'inventory',
    {
      serviceSettings: { serviceOptions },
      businessApis: [{ name: 'take', authOptions: { loginRequired: false, M2MAllowed: true } }],
    },
    { handlers: { take: () => ({ ok: true }) }, environment },
  )
  const response = await world.fetchAs(sender)(`${service.url}/take`, { method: 'POST' })
  await service.stop()
  return {
    status: response.status,
    challenge: response.headers.get('www-authenticate'),
    body: (await response.json()) as AnyJson,
  }
}

describe('the lists of document and environment', () => {
  it.each([
    ['order', {}, {}, 200],
    ['order', { allowedM2MClients: ['order-service'] }, {}, 200],
    ['order', { allowedM2MClients: ['web'] }, { ALLOWED_M2M_CLIENTS: 'order' }, 200],
    ['order', { allowedM2MClients: [] }, {}, 403],
    ['order', { allowedM2MClients: [] }, { ALLOWED_M2M_CLIENTS: '' }, 403],
    ['order', {}, { ALLOWED_M2M_CLIENTS: 'web' }, 403],
    ['order', { machineToMachineBlockList: ['order'] }, {}, 403],
    ['order', { machineToMachineBlockList: ['evil'] }, { M2M_BLOCK_LIST: 'order-service' }, 403],
    ['order', { machineToMachineBlockList: ['evil'], allowedM2MClients: ['web'] }, {}, 200],
    ['order', { machineToMachineBlockList: ['order'] }, { SERVICE_ENV: 'development' }, 200],
    ['order', { machineToMachineBlockList: ['order'] }, { SERVICE_ENV: '', NODE_ENV: '' }, 403],
    ['order', { machineToMachineBlockList: ['order'] }, { SERVICE_ENV: 'staging', NODE_ENV: 'development' }, 403],
  ])('add up: %s with %o and %o is answered %i', async (sender, serviceOptions, environment, status) => {
    expect(await callAs(sender, serviceOptions, environment as Record<string, string>)).toMatchObject({ status })
  })

  it('say who is refused, in the words that are agreed', async () => {
    expect(await callAs('order', { machineToMachineBlockList: ['order'] }, {})).toMatchObject({
      status: 403,
      body: { code: 'InvalidM2MToken', detail: "M2M token sender 'order-service' is in the M2M block list" },
    })
    expect(await callAs('order', { allowedM2MClients: ['web'] }, {})).toMatchObject({
      status: 403,
      body: {
        code: 'InvalidM2MToken',
        detail: "M2M token sender 'order-service' is not in the allowed M2M clients list",
      },
    })
  })
})
