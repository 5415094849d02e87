import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type AnyJson, createWorld, type StartedService, type World } from './world.fixture.ts'

/** Every row of the table, for business APIs and edge controllers, over REST. */
const rows = [
  { M2MAllowed: true, loginRequired: false },
  { M2MAllowed: true, loginRequired: true },
  { M2MAllowed: false, loginRequired: true },
  { M2MAllowed: false, loginRequired: false },
] as const

const nameOf = (row: (typeof rows)[number]) =>
  `${row.M2MAllowed ? 'm2m' : 'noM2m'}${row.loginRequired ? 'Login' : 'Open'}`

describe.each(['businessApi', 'edgeController'] as const)('the decision table for a %s', (kind) => {
  let world: World
  let service: StartedService
  beforeAll(async () => {
    world = await createWorld()
    const answer = ({ caller, m2mPayload, session }: AnyJson) => ({
      caller: caller?.subject ?? null,
      sender: m2mPayload?.sender ?? null,
      session: session?.subject ?? null,
    })
    service =
      kind === 'businessApi'
        ? await world.start(
            'inventory',
            { businessApis: rows.map((row) => ({ name: nameOf(row), authOptions: row })) },
            { handlers: Object.fromEntries(rows.map((row) => [nameOf(row), (_input, context) => answer(context)])) },
          )
        : await world.start(
            'inventory',
            { edgeControllers: rows.map((row) => ({ edgeControllerOptions: { functionName: nameOf(row), ...row } })) },
            { functions: Object.fromEntries(rows.map((row) => [nameOf(row), (req) => answer(req)])) },
          )
  })
  afterAll(() => world[Symbol.asyncDispose]())

  const url = (row: (typeof rows)[number]) => `${service.url}/${nameOf(row)}`
  const call = async (row: (typeof rows)[number], send: typeof fetch = fetch, headers: Record<string, string> = {}) => {
    const response = await send(url(row), { method: 'POST', headers })
    return {
      status: response.status,
      challenge: response.headers.get('www-authenticate'),
      body: (await response.json()) as AnyJson,
    }
  }
  const bySession = () => ({ authorization: `Bearer ${world.userToken()}` })

  it.each([rows[0], rows[1]])('validates a service token where M2MAllowed is true (%o)', async (row) => {
    const { status, body } = await call(row, world.fetchAs('order'))
    expect({ status, body }).toEqual({
      status: 200,
      body: { caller: 'order-service', sender: 'order-service', session: null },
    })
  })

  it.each([rows[0], rows[1]])('never falls back to the session from an invalid service token (%o)', async (row) => {
    for (const token of ['not.a.token', '', 'eyJhbGciOiJub25lIn0.e30.']) {
      const { status, challenge, body } = await call(row, fetch, { ...bySession(), 'x-m2m-token': token })
      expect(status).toBe(401)
      expect(body.code).toBe('InvalidM2MToken')
      expect(challenge).toContain('M2M error="InvalidM2MToken"')
    }
  })

  it('asks for a service token where only services may call, whatever session there is', async () => {
    for (const headers of [{}, bySession()]) {
      const { status, challenge, body } = await call(rows[0], fetch, headers)
      expect({ status, code: body.code }).toEqual({ status: 401, code: 'RequiresM2MToken' })
      expect(challenge).toContain('M2M error="RequiresM2MToken"')
    }
  })

  it.each([rows[1], rows[2]])('validates the session where there is no service token (%o)', async (row) => {
    expect(await call(row, fetch, bySession())).toMatchObject({
      status: 200,
      body: { caller: 'alice', sender: null, session: 'alice' },
    })
    const without = await call(row)
    expect(without).toMatchObject({ status: 401, body: { code: 'missing_credential', reason: 'session_required' } })
    expect(without.challenge).toMatch(/^Bearer realm="inventory-service"$/)
    const expired = { authorization: `Bearer ${world.userToken({ exp: 1_000_000_000, iat: 999_999_000 })}` }
    expect(await call(row, fetch, expired)).toMatchObject({ status: 401, body: { code: 'invalid_token' } })
  })

  it('does not look at a service token where M2MAllowed is false', async () => {
    const [, , login, open] = rows
    for (const token of ['not.a.token', 'a, b', world.signer('order').signMd5('0'.repeat(32))]) {
      expect((await call(login, fetch, { 'x-m2m-token': token })).status).toBe(401)
      expect(await call(login, fetch, { ...bySession(), 'x-m2m-token': token })).toMatchObject({
        status: 200,
        body: { sender: null, session: 'alice' },
      })
      expect(await call(open, fetch, { 'x-m2m-token': token, 'm2m-token': token })).toMatchObject({
        status: 200,
        body: { caller: null, sender: null, session: null },
      })
    }
    const good = world.fetchAs('order')
    expect(await call(open, good)).toMatchObject({ status: 200, body: { caller: null, sender: null } })
    expect((await call(login, good)).status).toBe(401)
  })

  it('leaves an open operation open, and makes no session there', async () => {
    expect(await call(rows[3], fetch, bySession())).toMatchObject({ status: 200, body: { session: null } })
    expect(await call(rows[3], fetch, { authorization: 'Bearer nonsense' })).toMatchObject({ status: 200 })
  })
})
