import { afterAll, beforeAll, expect, it } from 'vitest'
import { describeWith } from './describe-with.ts'
import { signingKeyPair } from './key-pair.ts'
import { preparePython } from './python.ts'
import { audiences, type ServerUnderTest, scopes, startServerUnderTest } from './server-under-test.ts'

await describeWith(preparePython, 'Authlib', (python) => {
  let server: ServerUnderTest
  let svc: { clientId: string; clientSecret: string }

  beforeAll(async () => {
    server = await startServerUnderTest()
    svc = await server.addClient('svc', {}, Object.values(audiences))
  })
  afterAll(() => server.close())

  const run = (cases: object[]) => python.ask('authlib_client.py', { metadata: server.metadata, cases })
  const bySecret = (method: string, more: object = {}) => ({
    method,
    client_id: svc.clientId,
    client_secret: svc.clientSecret,
    ...more,
  })
  const keyClient = async (id: string, algorithm: string, more: object = {}) => {
    const { privateJwk, publicJwk } = await signingKeyPair(algorithm)
    await server.addClient(id, more)
    await server.addKey(id, publicJwk)
    return { method: 'private_key_jwt', client_id: id, private_key: privateJwk, algorithm }
  }

  it('gets tokens with client_secret_basic and client_secret_post', async () => {
    const form = { audience: audiences.ES256, scope: 'read:things' }
    const answers = await run(['client_secret_basic', 'client_secret_post'].map((method) => bySecret(method, { form })))
    const token = { token_type: 'Bearer', expires_in: 3600, scope: 'read:things' }
    expect(answers).toMatchObject([{ token }, { token }])
  })

  it('gets tokens with private_key_jwt, told that the audience is the issuer', async () => {
    const cases = []
    for (const algorithm of ['RS256', 'ES256', 'EdDSA']) {
      const client = await keyClient(`key-${algorithm.toLowerCase()}`, algorithm)
      cases.push({ ...client, assertion_audience: server.issuer })
    }
    const token = { scope: scopes.join(' ') }
    expect(await run(cases)).toMatchObject([{ token }, { token }, { token }])
  })

  it('sends the token endpoint as audience by default, which a client must have been allowed', async () => {
    const refused = await keyClient('key-default', 'RS256')
    const allowed = await keyClient('key-allowed', 'RS256', { assertion_audience: 'token_endpoint' })
    expect(await run([refused, allowed])).toMatchObject([{ error: 'invalid_client' }, { token: {} }])
  })

  it('validates our tokens as an API (RFC 9068)', async () => {
    // Not EdDSA: joserfc, which Authlib verifies with, takes that name for deprecated since RFC 9864.
    const validated = [audiences.RS256, audiences.ES256]
    const cases = validated.map((audience) =>
      bySecret('client_secret_basic', { form: { audience }, scopes: ['read:things'], steps: ['validate'] }),
    )
    expect(await run(cases)).toMatchObject(
      validated.map((aud) => ({ validate: { iss: server.issuer, aud, client_id: 'svc' } })),
    )
  })

  it('introspects a token, revokes it, and sees it inactive', async () => {
    const form = { audience: audiences.RS256 }
    const steps = ['introspect', 'revoke', 'introspect_again']
    const [answer] = await run([bySecret('client_secret_basic', { form, steps })])
    expect(answer.introspect).toMatchObject({ active: true, client_id: 'svc', aud: audiences.RS256 })
    expect(answer.revoke).toBe(200)
    expect(answer.introspect_again).toEqual({ active: false })
  })

  it('reads what a refusal says', async () => {
    const wrong = { ...bySecret('client_secret_basic'), client_secret: 'wrong' }
    const unknownTarget = bySecret('client_secret_post', { form: { audience: 'https://unknown.example.com' } })
    expect(await run([wrong, unknownTarget])).toEqual([{ error: 'invalid_client' }, { error: 'invalid_target' }])
  })
})
