import { afterAll, beforeAll, expect, it } from 'vitest'
import { describeWith } from './describe-with.ts'
import { preparePython } from './python.ts'
import { audiences, type ServerUnderTest, scopes, startServerUnderTest } from './server-under-test.ts'

await describeWith(preparePython, 'PyJWT', (python) => {
  let server: ServerUnderTest
  let svc: { clientId: string; clientSecret: string }

  beforeAll(async () => {
    server = await startServerUnderTest()
    svc = await server.addClient('svc', {}, Object.values(audiences))
  })
  afterAll(() => server.close())

  const judge = (cases: object[]) => python.ask('pyjwt_service.py', { issuer: server.issuer, cases })

  it('verifies our tokens by PyJWKClient, issuer with its slash, audience and one algorithm', async () => {
    const cases = await Promise.all(
      Object.entries(audiences).map(async ([algorithm, audience]) => ({
        token: await server.token(svc, audience),
        audience,
        algorithms: [algorithm],
      })),
    )
    const verdicts = await judge(cases)
    const expected = { iss: server.issuer, sub: 'svc', client_id: 'svc', scope: scopes.join(' ') }
    expect(verdicts).toMatchObject(
      Object.values(audiences).map((aud) => ({ accepted: true, claims: { ...expected, aud } })),
    )
  })

  it('refuses what is not for it', async () => {
    const token = await server.token(svc, audiences.RS256)
    const [header, payload, signature] = token.split('.') as [string, string, string]
    const good = { token, audience: audiences.RS256, algorithms: ['RS256'] }
    const claims = JSON.parse(Buffer.from(payload, 'base64url').toString())
    const forged = Buffer.from(JSON.stringify({ ...claims, scope: 'everything' })).toString('base64url')
    const verdicts = await judge([
      good,
      { ...good, audience: audiences.ES256 },
      { ...good, issuer: server.issuer.slice(0, -1) },
      { ...good, algorithms: ['ES256'] },
      { ...good, token: `${header}.${forged}.${signature}` },
      { ...good, token: `${header}.${payload}.` },
    ])
    expect(verdicts.map((verdict: { reason?: string }) => verdict.reason)).toEqual([
      undefined,
      'InvalidAudienceError',
      'InvalidIssuerError',
      'InvalidAlgorithmError',
      'InvalidSignatureError',
      'InvalidSignatureError',
    ])
  })
})
