import { sign } from 'node:crypto'
import { generateSigningKey } from '@countersign/tokens'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type CliServer, startCliServer } from './cli.fixture.ts'

const audience = 'https://orders.example.com'
let cli: CliServer
let orders: NodeJS.ProcessEnv
beforeAll(async () => {
  cli = await startCliServer()
  const { id, secret } = await cli.server.addClient('svc-orders')
  orders = { COUNTERSIGN_CLIENT_ID: id, COUNTERSIGN_CLIENT_SECRET: secret }
})
afterAll(() => cli.close())

const getToken = async () => (await cli.run('token get', { env: orders })).stdout.trim()
const inspect = (token: string, words = '', env = orders) =>
  cli.run(`token inspect - --json ${words}`.trim(), { stdin: `${token}\n`, env })
const verdicts = (findings: { check: string; verdict: string; says: string }[]) =>
  Object.fromEntries(findings.map(({ check, verdict }) => [check, verdict]))

it('prints nothing but the token, so that $(countersign token get) can be used', async () => {
  const { stdout, stderr, code } = await cli.run('token get --scope read:orders', { env: orders })
  expect({ stderr, code }).toEqual({ stderr: '', code: 0 })
  expect(stdout).toMatch(/^eyJ[\w-]+\.[\w-]+\.[\w-]+\n$/)
})

it('says which grant is missing and how to give it', async () => {
  const scope = await cli.run('token get --scope nope', { env: orders })
  expect(scope).toMatchObject({ code: 1, stdout: '' })
  expect(scope.stderr).toContain('countersign client grant svc-orders --api')
  const target = await cli.run('token get --audience https://else.example.com', { env: orders })
  expect(target.stderr).toContain('has no grant for https://else.example.com')
})

it('finds nothing wrong with a good token, and says so with exit 0', async () => {
  const { code, json } = await inspect(await getToken(), `--audience ${audience}`)
  expect(code).toBe(0)
  expect(json).toMatchObject({ accepted: true, claims: { client_id: 'svc-orders' }, header: { typ: 'at+jwt' } })
  expect(new Set(Object.values(verdicts(json.findings)))).toEqual(new Set(['good']))
})

it('names a wrong audience, and the slash in which it differs', async () => {
  const { code, json } = await inspect(await getToken(), `--audience ${audience}/`)
  expect(code).toBe(1)
  expect(json.findings.find(({ check }: { check: string }) => check === 'audience').says).toContain(
    'differ only in the final slash',
  )
})

it('tells an altered token from one signed with an unknown key', async () => {
  const [header, payload, signature] = (await getToken()).split('.') as [string, string, string]
  const altered = JSON.parse(Buffer.from(payload, 'base64url').toString())
  const forged = Buffer.from(JSON.stringify({ ...altered, scope: 'admin' })).toString('base64url')
  const first = await inspect(`${header}.${forged}.${signature}`)
  expect(first.json.findings[0]).toMatchObject({
    check: 'signature',
    verdict: 'refused',
    says: expect.stringContaining('altered, or forged'),
  })
  const { privateKey } = await generateSigningKey('EdDSA')
  const foreign = Buffer.from(JSON.stringify({ alg: 'EdDSA', kid: 'unheard-of', typ: 'at+jwt' })).toString('base64url')
  const input = `${foreign}.${payload}`
  const second = await inspect(`${input}.${sign(null, Buffer.from(input), privateKey).toString('base64url')}`)
  expect(second.json.findings[0].says).toContain('"unheard-of" is not among the issuer\'s')
})

it('says since when a token is expired, and that another type of token is no access token', async () => {
  const { privateKey } = await generateSigningKey('EdDSA')
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const input = `${part({ alg: 'EdDSA', typ: 'JWT' })}.${part({ iss: cli.server.issuer, exp: Math.floor(Date.now() / 1000) - 7200, iat: 5 })}`
  const { code, stdout } = await cli.run('token inspect -', {
    stdin: `${input}.${sign(null, Buffer.from(input), privateKey).toString('base64url')}`,
    env: orders,
  })
  expect(code).toBe(1)
  expect(stdout).toMatch(/REFUSED {2}it expired 2h.* ago/)
  expect(stdout).toMatch(/REFUSED {2}its type is "JWT"/)
  expect(stdout).toContain('This token would be refused.')
})

it('says who judges service tokens', async () => {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const { stdout } = await cli.run('token inspect -', {
    stdin: `${part({ alg: 'EdDSA', typ: 'm2m+jwt' })}.${part({ iss: 'order-service' })}.${part({})}`,
    env: orders,
  })
  expect(stdout).toMatch(/REFUSED {2}its type is "m2m\+jwt".*countersign service token verify/)
})

it('says of something else entirely that it is no token', async () => {
  const { code, json } = await inspect('hello')
  expect(code).toBe(1)
  expect(json).toMatchObject({ header: null, accepted: false, findings: [{ check: 'format' }] })
})

it('still decodes and verifies without any credential', async () => {
  const { code, json } = await inspect(await getToken(), '', {
    COUNTERSIGN_CLIENT_ID: '',
    COUNTERSIGN_CLIENT_SECRET: '',
  })
  expect(code).toBe(0)
  expect(verdicts(json.findings)).toMatchObject({ signature: 'good', revocation: 'unknown' })
})

it('does not call a token revoked on the word of a server that tells this client nothing', async () => {
  const { json } = await inspect(await getToken(), '', {})
  expect(json.findings.at(-1)).toMatchObject({
    check: 'revocation',
    verdict: 'unknown',
    says: expect.stringContaining('--add-introspector admin'),
  })
})

it.each([
  ['its own client', () => orders],
  ['an administrator', () => ({})],
])('revokes a token as %s, and inspect says so', async (_who, env) => {
  const token = await getToken()
  const revoked = await cli.run('token revoke - --json', { stdin: token, env: env() })
  expect(revoked).toMatchObject({ code: 0, json: { jti: expect.any(String) } })
  const { code, json } = await inspect(token)
  expect(code).toBe(1)
  expect(verdicts(json.findings).revocation).toBe('refused')
})

it('revokes all tokens of a client', async () => {
  const token = await getToken()
  expect((await cli.run('token revoke --client svc-orders --json')).json).toMatchObject({ client_id: 'svc-orders' })
  expect((await inspect(token)).code).toBe(1)
})
