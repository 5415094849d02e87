import { Validator } from '@seriousme/openapi-schema-validator'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type AnyJson, createWorld, type World } from './world.fixture.ts'

let world: World
let openApi: AnyJson
beforeAll(async () => {
  world = await createWorld()
  const input = {
    type: 'object',
    properties: {
      productId: { type: 'string' },
      quantity: { type: 'integer', minimum: 1 },
      sku: { $ref: '#/$defs/sku' },
    },
    required: ['productId', 'quantity'],
    $defs: { sku: { type: 'string', pattern: '^[A-Z]+$' } },
  }
  const api = (name: string, path: string, method: string, authOptions: object) => ({
    name,
    authOptions,
    input,
    restSettings: { path, method },
  })
  const edge = (functionName: string, method: string) => ({
    edgeControllerOptions: { functionName, loginRequired: false },
    edgeRestSettings: { path: `/webhooks/${method}`, method },
  })
  const service = await world.start(
    'inventory',
    {
      serviceSettings: { serviceOptions: { multiTenant: true } },
      businessApis: [
        api('decrease', '/v1/stock/:productId/decrease', 'POST', { loginRequired: false, M2MAllowed: true }),
        api('find', '/v1/stock/:productId', 'GET', { loginRequired: true, M2MAllowed: true }),
        { name: 'ping', authOptions: { loginRequired: true } },
      ],
      edgeControllers: [edge('hook', 'POST'), edge('hook', 'GET')],
    },
    { handlers: { decrease: () => 1, find: () => 1, ping: () => 1 }, functions: { hook: () => 1 } },
  )
  openApi = await (await fetch(`${service.url}/openapi.json`)).json()
})
afterAll(() => world[Symbol.asyncDispose]())

it('is an OpenAPI 3.1 document', async () => {
  expect(openApi.openapi).toBe('3.1.0')
  const { valid, errors } = await new Validator().validate(openApi)
  expect({ valid, errors }).toEqual({ valid: true, errors: undefined })
})

it('has path parameters, and the rest of the input in query or body', () => {
  const { get } = openApi.paths['/v1/stock/{productId}']
  const names = get.parameters.map(({ name, in: where, required }: AnyJson) => `${where} ${name} ${required ?? false}`)
  expect(names).toEqual(['path productId true', 'query quantity true', 'query sku false', 'header x-tenant-id false'])
  const { post } = openApi.paths['/v1/stock/{productId}/decrease']
  const { schema } = post.requestBody.content['application/json']
  expect(Object.keys(schema.properties)).toEqual(['quantity', 'sku'])
  expect(schema.required).toEqual(['quantity'])
})

it('tells the decision table as far as OpenAPI can', () => {
  const securityOf = (path: string, method: string) =>
    openApi.paths[path][method].security.map((each: object) => Object.keys(each)[0])
  expect(securityOf('/v1/stock/{productId}/decrease', 'post')).toEqual(['serviceToken'])
  expect(securityOf('/v1/stock/{productId}', 'get')).toEqual(['serviceToken', 'session', 'sessionCookie'])
  expect(securityOf('/ping', 'post')).toEqual(['session', 'sessionCookie'])
  expect(securityOf('/webhooks/POST', 'post')).toEqual([])
})
