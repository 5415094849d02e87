import { createServer } from 'node:http'
import { parseJwt } from '@countersign/tokens'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type AnyJson, createWorld, listen, type World } from '../world.fixture.ts'
import { hasLiteralOrigin } from './literal-origin.ts'
import { type Outside, startOutside } from './outside.fixture.ts'

let world: World
let outside: Outside
beforeAll(async () => {
  world = await createWorld()
  outside = await startOutside()
})
afterAll(async () => {
  await world[Symbol.asyncDispose]()
  outside.close()
})
beforeEach(() => {
  outside.got.length = 0
  outside.answer = () => ({ status: 200, body: '{"ok":true}' })
})

const claimsOf = (token: unknown) => parseJwt(String(token)).claims as AnyJson

describe('an ApiCallAction', () => {
  const apiCall = (apiCallRequest: object) => ({ actions: { apiCallActions: [{ name: 'callOut', apiCallRequest }] } })
  const create = (apiCallRequest: object, environment: Record<string, string> = {}) =>
    world.create('order', apiCall(apiCallRequest), { environment })

  it('sends method, url, params, headers and body, with a token for the origin', async () => {
    const service = await create({
      method: 'POST',
      url: `${outside.origin}/v1/endpoint`,
      // biome-ignore lint/suspicious/noTemplateCurlyInString: an expression of the document.
      params: { id: '${this.id}', tag: ['a', 'b'] },
      // biome-ignore lint/suspicious/noTemplateCurlyInString: an expression of the document.
      headers: { 'x-trace': '${this.trace}' },
      body: '{ data: this.someData }',
    })
    const result = await service.actions.callOut!({ id: 'a b', trace: 't1', someData: { n: [1] }, tenant: 'acme' })
    expect(result).toEqual({ ok: true })
    const [call] = outside.got
    expect(call).toMatchObject({
      method: 'POST',
      body: '{"data":{"n":[1]}}',
      headers: { 'x-trace': 't1', 'content-type': 'application/json' },
    })
    expect(new URL(call!.url, outside.origin).searchParams.getAll('tag')).toEqual(['a', 'b'])
    const { aud, sender, req, tenant } = claimsOf(call!.headers['x-m2m-token'])
    expect({ aud, sender, req }).toMatchObject({
      aud: outside.origin,
      sender: 'order-service',
      req: { method: 'POST', target: call!.url },
    })
    expect(tenant, "a tenant is nobody else's business").toBeUndefined()
  })

  it('keeps what is filled into the URL within its place', async () => {
    const service = await create({ method: 'GET', url: `${outside.origin}/users/\${this.id}/x` })
    await service.actions.callOut!({ id: '../../admin?all=1#' })
    expect(outside.got[0]!.url).toBe('/users/..%2F..%2Fadmin%3Fall%3D1%23/x')
  })

  it('follows no redirect, with the token or without', async () => {
    outside.answer = () => ({ status: 307, headers: { location: `${outside.origin}/stolen` } })
    for (const environment of [{}, { UNSIGNED_ORIGINS: outside.origin }] as Record<string, string>[]) {
      const service = await create({ method: 'POST', url: `${outside.origin}/start`, body: '{}' }, environment)
      await expect(service.actions.callOut!({})).rejects.toMatchObject({ name: 'ActionError', action: 'callOut' })
    }
    expect(outside.got.map(({ url }) => url)).toEqual(['/start', '/start'])
  })

  it('sends no token to the origins that shall have none', async () => {
    const service = await create({ method: 'GET', url: `${outside.origin}/a` }, { UNSIGNED_ORIGINS: outside.origin })
    await service.actions.callOut!()
    expect(outside.got[0]!.headers).not.toHaveProperty('x-m2m-token')
  })

  it('does not let the context choose whom the service calls in its own name', async () => {
    // biome-ignore lint/suspicious/noTemplateCurlyInString: an expression of the document.
    const request = { method: 'GET', url: '${this.callback}' }
    const shut = await create(request, { SERVICE_URL: outside.origin.replace('127.0.0.1', '$service') })
    const origins = [outside.origin, 'http://169.254.169.254', outside.origin.replace('127.0.0.1', 'billing')]
    for (const origin of origins)
      await expect(shut.actions.callOut!({ callback: `${origin}/x` })).rejects.toMatchObject({
        code: 'origin_not_allowed',
        message: expect.stringContaining('allow that in API_CALL_ORIGINS'),
      })
    expect(outside.got).toEqual([])
    const allowed = await create(request, { API_CALL_ORIGINS: `https://other.example,${outside.origin}` })
    await allowed.actions.callOut!({ callback: `${outside.origin}/x` })
    expect(outside.got).toHaveLength(1)
    for (const callback of ['file:///etc/passwd', 'no url', `http://user:hunter2@${new URL(outside.origin).host}/x`])
      await expect(allowed.actions.callOut!({ callback })).rejects.toMatchObject({
        code: 'bad_value',
        message: expect.not.stringContaining('hunter2'),
      })
  })

  it.each([
    'https://api.example@127.0.0.1:9/',
    // biome-ignore lint/suspicious/noTemplateCurlyInString: as in a document.
    'https://api.example:${this.port}/',
    // biome-ignore lint/suspicious/noTemplateCurlyInString: as in a document.
    'https://${this.host}/',
    // biome-ignore lint/suspicious/noTemplateCurlyInString: as in a document.
    'https://api.example${this.rest}',
    'https://api.example\\@evil.example/',
  ])('takes an origin for written down only where it is whole: %s', (source) => {
    expect(hasLiteralOrigin(source)).toBe(false)
  })

  it.each([
    ['an answer that refuses', () => ({ status: 403, body: '{"code":"no"}' }), 'refused', /answered 403 \(no\)/],
    ['an answer that is broken', () => ({ status: 200, body: '{' }), 'unreachable', /was not answered/],
  ])('fails with %s', async (_what, answer, code, message) => {
    outside.answer = answer
    const service = await create({ method: 'GET', url: `${outside.origin}/a` })
    await expect(service.actions.callOut!()).rejects.toMatchObject({ code, message: expect.stringMatching(message) })
  })

  it('fails with a clear sentence when nobody is there', async () => {
    const service = await create({ method: 'GET', url: 'http://127.0.0.1:9/a' })
    await expect(service.actions.callOut!()).rejects.toThrow(
      'action "callOut": GET http://127.0.0.1:9/a was not answered',
    )
  })

  it('gives up on an answer that does not come', async () => {
    const silent = createServer(() => {})
    const port = await listen(silent)
    const service = await create({ method: 'GET', url: `http://127.0.0.1:${port}/a` }, { ACTION_TIMEOUT: '1' })
    await expect(service.actions.callOut!()).rejects.toThrow('was not answered within 1000 ms')
    silent.close().closeAllConnections()
  })
})

it('signs nothing without a key, and says so', async () => {
  const apiCallActions = [{ name: 'callOut', apiCallRequest: { method: 'GET', url: `${outside.origin}/a` } }]
  const service = await world.create(
    'keyless',
    { actions: { apiCallActions } },
    { environment: { SERVICE_SECRET_KEY: '' } },
  )
  await expect(service.actions.callOut!()).rejects.toMatchObject({ code: 'not_signed' })
  await expect(service.start()).rejects.toThrow('set SERVICE_SECRET_KEY or SERVICE_SECRET_KEY_FILE')
  expect(outside.got).toEqual([])
})
