import { describe, expect, it } from 'vitest'
import { GuardConfigurationError } from '../guard-error.ts'
import { createAccessDecision, mergeAccessLists } from './access-lists.ts'
import { receiverFromEnvironment } from './environment.ts'

const env = {
  SERVICE_SHORT_NAME: 'inventory',
  JWKS_URL: 'https://auth.example.com/$service/.well-known/jwks.json',
}

describe('the environment of a receiver', () => {
  it('gives name, keys, audiences and lists', () => {
    const { options, notices } = receiverFromEnvironment({
      ...env,
      M2M_AUDIENCES: 'https://stock.example, stock-service',
      M2M_BLOCK_LIST: ' evil-service , worse,',
      ALLOWED_M2M_CLIENTS: 'order-service',
    })
    expect(options).toEqual({
      name: 'inventory-service',
      keys: env.JWKS_URL,
      audiences: ['https://stock.example', 'stock-service'],
      blockList: ['evil-service', 'worse'],
      allowList: ['order-service'],
      enforceLists: true,
    })
    expect(notices).toEqual([])
  })

  it.each([
    [{}, true],
    [{ NODE_ENV: 'production' }, true],
    [{ NODE_ENV: 'Production' }, true],
    [{ SERVICE_ENV: 'staging' }, true],
    [{ SERVICE_ENV: 'stage' }, true],
    [{ SERVICE_ENV: 'prod' }, true],
    [{ NODE_ENV: '' }, true],
    [{ SERVICE_ENV: '', NODE_ENV: 'test' }, false],
    [{ NODE_ENV: 'development' }, false],
    [{ SERVICE_ENV: 'dev', NODE_ENV: 'production' }, false],
    [{ SERVICE_ENV: 'production', NODE_ENV: 'test' }, true],
  ])('%j enforces lists: %s', (stage, enforced) => {
    const given = { ...env, ...stage, M2M_BLOCK_LIST: 'evil' }
    const { options, notices } = receiverFromEnvironment(given)
    expect(options.enforceLists).toBe(enforced)
    expect(notices).toHaveLength(enforced ? 0 : 1)
    if (!enforced) expect(notices[0]).toMatch(/(SERVICE|NODE)_ENV=\w+ leaves M2M_BLOCK_LIST off/)
  })

  it('says nothing of lists that do not exist', () => {
    expect(receiverFromEnvironment({ ...env, NODE_ENV: 'test' }).notices).toEqual([])
  })

  it('has no allow list where the variable is empty', () => {
    for (const ALLOWED_M2M_CLIENTS of ['', '  ']) {
      expect(receiverFromEnvironment({ ...env, ALLOWED_M2M_CLIENTS }).options.allowList).toBeUndefined()
    }
  })

  it.each([
    [{ SERVICE_SHORT_NAME: '' }, /SERVICE_SHORT_NAME/],
    [{ SERVICE_SHORT_NAME: 'Inventory Service' }, /SERVICE_SHORT_NAME/],
    [{ JWKS_URL: undefined }, /JWKS_URL/],
    [{ M2M_BLOCK_LIST: 'evil service' }, /M2M_BLOCK_LIST: "evil service"/],
    [{ ALLOWED_M2M_CLIENTS: ',' }, /ALLOWED_M2M_CLIENTS/],
    [{ M2M_BLOCK_LIST: ' , ,' }, /M2M_BLOCK_LIST/],
  ])('is refused with %j, by name (33)', (change, why) => {
    expect(() => receiverFromEnvironment({ ...env, ...change })).toThrow(GuardConfigurationError)
    expect(() => receiverFromEnvironment({ ...env, ...change })).toThrow(why)
  })
})

it('names all that is missing in the environment of a receiver at once', () => {
  expect(() => receiverFromEnvironment({})).toThrow(/SERVICE_SHORT_NAME is not set; .*JWKS_URL is not set; /s)
})

describe('access lists', () => {
  const blocked = "M2M token sender 'order-service' is in the M2M block list"
  const notAllowed = "M2M token sender 'order-service' is not in the allowed M2M clients list"

  it.each([
    [{}, undefined],
    [{ blockList: [] }, undefined],
    [{ blockList: ['order'] }, blocked],
    [{ blockList: ['order-service'] }, blocked],
    [{ blockList: ['billing'] }, undefined],
    [{ blockList: ['billing'], allowList: [] }, undefined],
    [{ blockList: ['billing'], allowList: ['billing'] }, undefined],
    [{ blockList: ['order'], allowList: ['order'] }, blocked],
    [{ blockList: [], allowList: [] }, notAllowed],
    [{ allowList: ['billing'] }, notAllowed],
    [{ allowList: ['order'] }, undefined],
    [{ allowList: ['order-service'] }, undefined],
    [{ allowList: [], enforceLists: false }, undefined],
    [{ blockList: ['order'], enforceLists: false }, undefined],
  ])('%j', (lists, message) => {
    expect(createAccessDecision(lists)('order-service')).toBe(message)
  })

  it('add up', () => {
    const environment = { blockList: ['a'], allowList: undefined, enforceLists: true }
    expect(mergeAccessLists(environment, { blockList: ['b', 'a'], allowList: [] })).toEqual({
      blockList: ['a', 'b'],
      allowList: [],
      enforceLists: true,
    })
    expect(mergeAccessLists({ allowList: ['a'] }, { allowList: [] }).allowList).toEqual(['a'])
    expect(mergeAccessLists({}, {}).allowList).toBeUndefined()
    expect(mergeAccessLists({ enforceLists: false }, { allowList: [] }).enforceLists).toBe(false)
  })

  it.each(['*', '', 'order service', 'Order', 'a,b', '-x', 7])(
    'refuse the entry %j, which nobody is called',
    (entry) => {
      expect(() => createAccessDecision({ blockList: [entry as string] })).toThrow(GuardConfigurationError)
      expect(() => createAccessDecision({ allowList: [entry as string] })).toThrow(/allowList/)
    },
  )
})
