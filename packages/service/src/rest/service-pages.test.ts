import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createWorld, type World } from '../world.fixture.ts'

const open = { loginRequired: false, M2MAllowed: false }
const m2m = { loginRequired: false, M2MAllowed: true }
const api = (name: string, authOptions: object) => ({ businessApis: [{ name, authOptions }] })

let world: World
beforeAll(async () => {
  world = await createWorld()
})
afterAll(() => world[Symbol.asyncDispose]())

describe('what a service tells about itself', () => {
  it('is its keys, its APIs, its health and its numbers', async () => {
    const document = {
      businessApis: [
        { name: 'find', authOptions: m2m, restSettings: { path: '/v1/stock/:id', method: 'GET' } },
        { name: 'put', authOptions: m2m },
      ],
      edgeControllers: [{ edgeControllerOptions: { functionName: 'hook', loginRequired: false } }],
    }
    const code = { handlers: { find: () => 1, put: () => 1 }, functions: { hook: () => 1 } }
    const service = await world.start('inventory', document, code)
    const get = async (path: string) => {
      const response = await fetch(service.url + path)
      const text = await response.text()
      return {
        status: response.status,
        headers: response.headers,
        text,
        body: text.startsWith('{') ? JSON.parse(text) : undefined,
      }
    }
    expect((await get('/.well-known/jwks.json')).body).toEqual(world.signer('inventory').jwks())
    expect((await get('/.well-known/service.json')).body).toEqual({
      name: 'inventory-service',
      apis: { find: { method: 'GET', path: '/v1/stock/{id}' }, put: { method: 'POST', path: '/put' } },
    })
    expect(await get('/healthz')).toMatchObject({ status: 200, body: { status: 'ok' } })
    expect(await get('/readyz')).toMatchObject({ status: 200, body: { status: 'ready' } })

    await world.fetchAs('order')(`${service.url}/v1/stock/7`)
    await fetch(`${service.url}/put`, { method: 'POST', headers: { 'x-m2m-token': 'nonsense' } })
    const { text } = await get('/metrics')
    const line = (name: string, ...labels: string[]) =>
      text.split('\n').find((each) => each.startsWith(name) && labels.every((label) => each.includes(label)))
    const tokens = 'countersign_service_token_validations_total'
    expect(line(tokens, 'sender="order-service"', 'outcome="accepted"', 'transport="http"')).toMatch(/ 1$/)
    expect(line(tokens, 'sender="unproven"', 'outcome="refused"', 'reason="malformed"')).toMatch(/ 1$/)
    expect(line('countersign_service_calls_total', 'operation="find"', 'status="200"')).toMatch(/ 1$/)
    expect(line('countersign_service_calls_total', 'operation="put"', 'status="401"')).toMatch(/ 1$/)
  })

  it('shows its numbers to nobody without METRICS_TOKEN, where that is set', async () => {
    const service = await world.start('metered', api('any', open), {
      handlers: { any: () => 1 },
      environment: { METRICS_TOKEN: 'hunter2' },
    })
    expect((await fetch(`${service.url}/metrics`)).status).toBe(401)
    expect((await fetch(`${service.url}/metrics`, { headers: { authorization: 'Bearer hunter' } })).status).toBe(401)
    expect((await fetch(`${service.url}/metrics`, { headers: { authorization: 'Bearer hunter2' } })).status).toBe(200)
  })
})
