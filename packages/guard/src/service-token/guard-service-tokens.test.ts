import { createMemorySingleUse } from '@countersign/limits'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { createGuard, type Guard } from '../guard.ts'
import { GuardConfigurationError } from '../guard-error.ts'
import type { RefusalEvent } from '../guard-options.ts'
import { audience, startIssuer, type TestIssuer } from '../issuer.fixture.ts'
import type { Requirement } from '../requirement.ts'
import { refusalOf } from './reason.fixture.ts'
import { startSenders, type TestSender, type TestSenders } from './senders.fixture.ts'
import type { ServiceTokenOptions } from './service-token-options.ts'
import { createServiceTokenVerifier } from './service-token-verifier.ts'

const call = { method: 'POST', target: '/v1/stock', content: '{"n":1}' }
let issuer: TestIssuer
let senders: TestSenders
let order: TestSender
let refusals: RefusalEvent[]
let both: Guard
let only: Guard
beforeAll(async () => {
  issuer = await startIssuer()
  senders = await startSenders()
  order = await senders.add('order')
})
afterAll(async () => {
  await issuer.stop()
  await senders.stop()
})
beforeEach(() => {
  refusals = []
  const onRefusal = (event: RefusalEvent) => void refusals.push(event)
  both = createGuard({ issuer: issuer.issuer, audience, serviceTokens: options(), onRefusal })
  only = createGuard({ serviceTokens: options(), onRefusal })
})

const options = (more: Partial<ServiceTokenOptions> = {}): ServiceTokenOptions => ({
  name: 'inventory',
  keys: senders.template,
  uses: createMemorySingleUse(),
  ...more,
})

const request = (headers: Record<string, string>, rawHeaders = Object.entries(headers).flat()) => ({
  headers,
  rawHeaders,
  method: call.method,
  url: call.target,
  readContent: async () => Buffer.from(call.content),
})

/** `clientId` of the caller, or what refused. */
async function outcome(guard: Guard, headers: Record<string, string>, requirement?: Requirement): Promise<string> {
  let clientId = ''
  const error = await refusalOf(async () => {
    clientId = (await guard.verify(request(headers), requirement)).clientId
  })
  if (error === undefined) return clientId
  expect(refusals.at(-1)?.error).toBe(error)
  return `${error.status} ${error.code} ${error.reason}`
}

const bearer = (token = issuer.token()) => ({ authorization: `Bearer ${token}` })
const service = (token = order.forCall(call)) => ({ 'x-m2m-token': token })

describe('a guard of both kinds of tokens', () => {
  it('takes either', async () => {
    expect(await outcome(both, bearer())).toBe('svc-orders')
    expect(await outcome(both, service())).toBe('order-service')
    expect(await outcome(both, {})).toBe('401 missing_credential missing_credential')
  })

  it('checks both where both are there, and takes the service for the caller', async () => {
    expect(await outcome(both, { ...bearer(), ...service() })).toBe('order-service')
    expect(await outcome(both, { ...bearer('nonsense'), ...service() })).toBe('401 invalid_token malformed_token')
    expect(await outcome(both, { ...bearer(), ...service('nonsense') })).toBe('401 InvalidM2MToken malformed')
    expect(await outcome(both, { authorization: 'Basic eA==', ...service() })).toBe(
      '401 missing_credential unsupported_scheme',
    )
    expect(await outcome(both, { authorization: '', ...service() })).toBe('400 invalid_request malformed_authorization')
  })

  it('never falls back to the access token when the service token is wrong', async () => {
    const used = service()
    expect(await outcome(both, used)).toBe('order-service')
    expect(await outcome(both, { ...bearer(), ...used })).toBe('401 InvalidM2MToken replayed')
    expect(await outcome(both, { ...bearer(), 'x-m2m-token': '' })).toBe('401 InvalidM2MToken malformed')
  })

  it('does not use a service token up when the access token beside it is refused', async () => {
    const token = service()
    expect(await outcome(both, { ...bearer('nonsense'), ...token })).toMatch(/^401 invalid_token/)
    expect(await outcome(both, token)).toBe('order-service')
  })

  it('may require a service token, or ignore it, by route', async () => {
    expect(await outcome(both, bearer(), { serviceToken: 'required' })).toBe('401 RequiresM2MToken missing_credential')
    expect(await outcome(both, service(), { serviceToken: 'required' })).toBe('order-service')
    const ignored: Requirement = { serviceToken: 'ignored' }
    expect(await outcome(both, { ...bearer(), ...service('nonsense') }, ignored)).toBe('svc-orders')
    expect(await outcome(both, service(), ignored)).toBe('401 missing_credential missing_credential')
  })

  it('answers an access token as fast as ever: at once', async () => {
    await outcome(both, bearer())
    expect(both.verify(request(bearer()))).not.toBeInstanceOf(Promise)
    expect((await both.verifyToken(issuer.token())).clientId).toBe('svc-orders')
  })

  it('gives a service the scopes that it has as a client, and no others', async () => {
    const scoped: Requirement = { scopes: ['read:stock'] }
    expect(await outcome(both, service(), scoped)).toBe('403 insufficient_scope insufficient_scope')
    expect(await outcome(both, { ...bearer(issuer.token({ scope: 'read:stock' })), ...service() }, scoped)).toBe(
      '403 insufficient_scope insufficient_scope',
    )
    const known = createGuard({ serviceTokens: options({ scopesOf: () => ['read:stock'] }) })
    expect(await outcome(known, service(), scoped)).toBe('order-service')
  })
})

describe('a guard of service tokens alone', () => {
  it('asks for one, and does not look at other credentials', async () => {
    expect(await outcome(only, {})).toBe('401 RequiresM2MToken missing_credential')
    expect(await outcome(only, bearer())).toBe('401 RequiresM2MToken missing_credential')
    expect(await outcome(only, { ...bearer('nonsense'), ...service() })).toBe('order-service')
    expect((await refusalOf(() => only.verifyToken(issuer.token())))?.code).toBe('invalid_token')
  })

  it('takes a verifier that others share', async () => {
    const verifier = createServiceTokenVerifier(options())
    const guards = [createGuard({ serviceTokens: verifier }), createGuard({ serviceTokens: verifier })]
    const token = service()
    expect(await outcome(guards[0]!, token)).toBe('order-service')
    expect(await outcome(guards[1]!, token).catch(() => 'refused')).not.toBe('order-service')
  })

  it('says that it was given no content to check against', async () => {
    const bare = { headers: service(), method: call.method, url: call.target }
    const error = await refusalOf(() => only.verify(bare))
    expect([error?.status, error?.code]).toEqual([400, 'body_already_read'])
  })

  it('reads a Fetch request as it is', async () => {
    const fetched = new Request(`https://inventory.example${call.target}`, {
      method: 'POST',
      headers: service(),
      body: call.content,
    })
    expect((await only.verify(fetched)).clientId).toBe('order-service')
    expect(await fetched.text()).toBe(call.content)
  })
})

describe('a requirement', () => {
  it('that the guard cannot check is refused at once', () => {
    const plain = createGuard({ issuer: issuer.issuer, audience })
    for (const serviceToken of ['required', 'accepted'] as const) {
      expect(() => plain.check({ serviceToken })).toThrow(GuardConfigurationError)
    }
    expect(() => plain.check({ serviceToken: 'ignored' })).not.toThrow()
    for (const serviceToken of ['ignored', 'accepted'] as const) {
      expect(() => only.check({ serviceToken })).toThrow(/issuer/)
    }
    expect(() => both.check({ serviceToken: 'maybe' as never })).toThrow(/"required", "accepted" or "ignored"/)
    expect(() => both.check({ serviceTokens: 'required' } as never)).toThrow(/serviceToken/)
  })

  it('needs an issuer and an audience, or service tokens', () => {
    expect(() => createGuard({})).toThrow(/audience/)
    expect(() => createGuard({ audience, serviceTokens: options() })).toThrow(/issuer/)
    expect(() => createGuard({ issuer: issuer.issuer, serviceTokens: options() })).toThrow(/audience/)
    expect(() => createGuard({ serviceTokens: {} as never })).toThrow(GuardConfigurationError)
  })
})
