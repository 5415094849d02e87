import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { EdgeRequest } from '../operation.ts'
import { Problem } from '../problem.ts'
import { edgeAnswer } from '../rest/edge-answer.ts'
import { createWorld, type StartedService, type World } from '../world.fixture.ts'

let world: World
let service: StartedService
let seen: EdgeRequest

beforeAll(async () => {
  world = await createWorld()
  service = await world.start(
    'payments',
    {
      edgeControllers: [
        {
          edgeControllerOptions: { functionName: 'processPaymentWebhook', loginRequired: false, M2MAllowed: true },
          edgeRestSettings: { restEnabled: true, path: '/webhooks/payment/:provider', method: 'POST' },
        },
        {
          edgeControllerOptions: { functionName: 'open', loginRequired: false, M2MAllowed: false },
          edgeRestSettings: { restEnabled: true, path: '/open', method: 'POST' },
        },
        {
          edgeControllerOptions: { functionName: 'answers', loginRequired: false },
          edgeRestSettings: { path: '/answers/:how', method: 'GET' },
        },
      ],
    },
    {
      functions: {
        processPaymentWebhook: async (req) => {
          seen = req
          return { status: 'processed', sender: req.m2mPayload?.sender }
        },
        open: async (req) => {
          seen = req
          return { sender: req.m2mPayload?.sender ?? null }
        },
        answers: async (req) => {
          if (req.params.how === 'text') return edgeAnswer({ status: 202, headers: { 'x-id': '7' }, body: 'accepted' })
          if (req.params.how === 'bytes') return edgeAnswer({ body: Buffer.from([1, 2]) })
          if (req.params.how === 'json') return edgeAnswer({ status: 201, body: { id: 7 } })
          if (req.params.how === 'empty') return edgeAnswer({ status: 204 })
          if (req.params.how === 'problem') throw new Problem(409, 'already_paid', 'this payment was made before')
          if (req.params.how === 'header') return edgeAnswer({ headers: { 'x-bad': 'a\r\nset-cookie: b' } })
          return undefined
        },
      },
    },
  )
})
afterAll(() => world[Symbol.asyncDispose]())

describe('what an edge function gets', () => {
  it('is the request as it came, and who is behind it', async () => {
    const body = '{ "amount": 5 }'
    const response = await world.fetchAs('order')(`${service.url}/webhooks/payment/acme%20pay?try=1&try=2&x=`, {
      method: 'POST',
      body,
      headers: { 'content-type': 'application/json', 'x-signature': 'abc' },
    })
    expect(await response.json()).toEqual({ status: 'processed', sender: 'order-service' })
    expect(seen).toMatchObject({
      transport: 'rest',
      method: 'POST',
      path: '/webhooks/payment/acme%20pay',
      url: '/webhooks/payment/acme%20pay?try=1&try=2&x=',
      params: { provider: 'acme pay' },
      body: { amount: 5 },
      caller: { method: 'service_token', clientId: 'order-service' },
      m2mPayload: { sender: 'order-service' },
    })
    expect({ ...seen.query }).toEqual({ try: ['1', '2'], x: '' })
    expect(seen.headers['x-signature']).toBe('abc')
    expect(seen.rawBody.equals(Buffer.from(body))).toBe(true)
    expect(seen.session).toBeUndefined()
    expect(seen.tenant).toBeUndefined()
    expect(Object.keys(seen)).toContain('tenant')
  })

  it('has no service token in its headers', async () => {
    await world.fetchAs('order')(`${service.url}/webhooks/payment/a`, { method: 'POST' })
    expect(JSON.stringify(seen.headers)).not.toMatch(/eyJ/)
    await world.fetchAs('order', { header: 'm2m-token' })(`${service.url}/open`, { method: 'POST' })
    expect(JSON.stringify(seen.headers)).not.toMatch(/eyJ/)
  })

  it('has no m2mPayload that somebody put there', async () => {
    const response = await fetch(`${service.url}/open`, {
      method: 'POST',
      body: JSON.stringify({ m2mPayload: { sender: 'admin-service' }, a: 1 }),
      headers: { 'content-type': 'application/json', 'm2m-payload': '{"sender":"admin-service"}', m2mpayload: 'x' },
    })
    expect(await response.json()).toEqual({ sender: null })
    expect(seen.body).toEqual({ a: 1 })
  })

  it.each([
    ['a form', 'application/x-www-form-urlencoded', 'a=1&b=2&b=3', { a: '1', b: ['2', '3'] }],
    ['text', 'text/plain', 'hello', 'hello'],
    ['bytes', 'application/octet-stream', 'hello', Buffer.from('hello')],
    ['coded content', 'application/json', 'hello', Buffer.from('hello')],
  ])('reads %s', async (what, type, body, expected) => {
    const headers = { 'content-type': type, ...(what === 'coded content' && { 'content-encoding': 'br' }) }
    await fetch(`${service.url}/open`, { method: 'POST', body, headers })
    const { body: got } = seen
    expect(Buffer.isBuffer(got) || typeof got === 'string' ? got : { ...(got as object) }).toEqual(expected)
  })

  it('is not called with JSON that is none', async () => {
    const headers = { 'content-type': 'application/json' }
    const answer = await fetch(`${service.url}/open`, { method: 'POST', body: '{', headers })
    expect(answer.status).toBe(400)
  })
})

describe('what an edge function answers', () => {
  const get = async (how: string) => {
    const response = await fetch(`${service.url}/answers/${how}`)
    return { status: response.status, headers: response.headers, text: await response.text() }
  }

  it('is JSON, a status and headers of its own, text, bytes, or nothing', async () => {
    const text = await get('text')
    expect(text).toMatchObject({ status: 202, text: 'accepted' })
    expect(text.headers.get('x-id')).toBe('7')
    expect(text.headers.get('content-type')).toBe('text/plain; charset=utf-8')
    expect(await get('bytes')).toMatchObject({ status: 200, text: '\u0001\u0002' })
    expect(await get('json')).toMatchObject({ status: 201, text: '{"id":7}' })
    expect(await get('empty')).toMatchObject({ status: 204, text: '' })
    expect(await get('else')).toMatchObject({ status: 204, text: '' })
  })

  it('may be a problem with a sentence of its own', async () => {
    const { status, headers, text } = await get('problem')
    expect(status).toBe(409)
    expect(headers.get('content-type')).toBe('application/problem+json')
    expect(JSON.parse(text)).toMatchObject({
      code: 'already_paid',
      detail: 'this payment was made before',
      title: 'Conflict',
    })
  })

  it('cannot split headers', async () => {
    expect((await get('header')).status).toBe(500)
  })
})
