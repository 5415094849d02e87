import { inspect } from 'node:util'
import { generateSigningKey, parseJwt, Secret } from '@countersign/tokens'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import {
  bodyOf,
  type FakeAnswer,
  type FakeTokenServer,
  failureOf,
  refused,
  startServer,
  startTokenServer,
} from './fake-server.fixture.ts'
import { ClientError, type ClientOptions, createClient } from './index.ts'

const canary = 'canary/secret+that&must=never show'
let server: FakeTokenServer

beforeEach(async () => {
  server = await startTokenServer()
})
afterEach(() => server[Symbol.asyncDispose]())

function client(options: Partial<ClientOptions> = {}) {
  return createClient({
    issuer: server.issuer,
    clientId: 'svc-a',
    clientSecret: canary,
    maximumRetries: 0,
    timeoutMilliseconds: 500,
    ...options,
  })
}

/** Everything a logger might print of a value. */
function printed(value: unknown): string {
  const error = value instanceof Error ? [value.message, value.stack, value.cause, String(value)] : []
  return [inspect(value, { depth: 20, showHidden: true }), JSON.stringify(value), ...error].join('\n')
}

function expectNoSecret(text: string): void {
  const basic = Buffer.from(`svc-a:${new URLSearchParams([['', canary]]).toString().slice(1)}`).toString('base64')
  for (const form of [
    canary,
    encodeURIComponent(canary),
    new URLSearchParams({ a: canary }).toString().slice(2),
    basic,
  ]) {
    expect(text).not.toContain(form)
  }
}

describe('the secret goes to the configured issuer only', () => {
  it.each([301, 302, 303, 307, 308])('does not follow a %d of the token endpoint', async (status) => {
    const stolen: string[] = []
    await using thief = await startServer(async (request, response) => {
      stolen.push(`${request.headers.authorization} ${await bodyOf(request)}`)
      response.end('{"access_token":"x","token_type":"Bearer"}')
    })
    server.answer = () => ({ status, headers: { location: `${thief.origin}/token` } })
    for (const authMethod of ['client_secret_basic', 'client_secret_post'] as const) {
      expect(await failureOf(client({ authMethod }).token())).toMatchObject({ code: 'redirected', status })
    }
    expect(stolen).toEqual([])
  })

  it('does not follow a redirect of the metadata', async () => {
    server.metadataStatus = 302
    expect(await failureOf(client().token())).toMatchObject({ code: 'redirected' })
    expect(server.requests).toHaveLength(0)
  })

  it('does not send it to a token_endpoint at another origin that metadata names', async () => {
    await using thief = await startTokenServer()
    server.metadata = { token_endpoint: `${thief.issuer}oauth/token` }
    const error = await failureOf(client().token())
    expect(error).toMatchObject({ code: 'bad_metadata' })
    expect(error.message).toContain('tokenEndpoint')
    expect(thief.requests).toHaveLength(0)
  })

  it.each([
    ['another scheme', (issuer: string) => issuer.replace('http:', 'https:')],
    ['another port', (issuer: string) => issuer.replace(/:\d+\//, ':1/')],
    ['a user name that looks like the host', (issuer: string) => `${issuer.replace(/\/$/, '')}@thief.example/`],
    ['no URL', () => '/oauth/token'],
    ['a number', () => 7],
  ])('does not accept a token_endpoint with %s', async (_, endpoint) => {
    server.metadata = { token_endpoint: endpoint(server.issuer) }
    expect(await failureOf(client().token())).toMatchObject({ code: 'bad_metadata' })
    expect(server.requests).toHaveLength(0)
  })

  it.each([
    ['another issuer', (issuer: string) => issuer.replace('127.0.0.1', 'localhost')],
    ['the issuer without its slash', (issuer: string) => issuer.replace(/\/$/, '')],
    ['no issuer', () => undefined],
    ['a list of issuers', (issuer: string) => [issuer]],
  ])('does not believe metadata with %s', async (_, issuer) => {
    server.metadata = { issuer: issuer(server.issuer) }
    expect(await failureOf(client().token())).toMatchObject({ code: 'bad_metadata' })
    expect(server.requests).toHaveLength(0)
  })

  it('does not let an evil server have an assertion made out for another (audience injection)', async () => {
    const { privateKey } = await generateSigningKey('ES256')
    const evil = createClient({
      issuer: server.issuer,
      clientId: 'svc-a',
      privateKey: { jwk: privateKey.export({ format: 'jwk' }) },
    })
    server.metadata = {
      token_endpoint: `${server.issuer}https://honest.example/token`,
      token_endpoint_aud: 'https://honest.example/',
    }
    await evil.token({ audience: 'https://honest.example/' })
    expect(parseJwt(server.requests[0]!.form.get('client_assertion')!).claims.aud).toBe(server.issuer)
  })

  it('never puts it into the address', async () => {
    const addresses: string[] = []
    const fetch: typeof globalThis.fetch = (input, init) => {
      addresses.push(String(input))
      return globalThis.fetch(input, init)
    }
    await client({ fetch }).token()
    expectNoSecret(addresses.join())
  })

  it('asks not to follow redirects even of a fetch that was passed in', async () => {
    const modes: unknown[] = []
    const fetch: typeof globalThis.fetch = (input, init) => {
      modes.push(init?.redirect)
      return globalThis.fetch(input, init)
    }
    await client({ fetch }).token()
    expect(modes).toEqual(['manual', 'manual'])
  })
})

describe('the secret never shows', () => {
  const echo = (form: string): FakeAnswer => refused('invalid_client', 401, `you sent ${form}, which is wrong`)
  const basic = Buffer.from(`svc-a:${new URLSearchParams([['', canary]]).toString().slice(1)}`).toString('base64')

  it.each<[string, FakeAnswer]>([
    ['a refusal', refused('invalid_client', 401)],
    ['a refusal that echoes it', echo(canary)],
    ['a refusal that echoes its encoded form', echo(new URLSearchParams([['', canary]]).toString().slice(1))],
    ['a refusal that echoes the header', echo(`Basic ${basic}`)],
    ['a refusal whose error is the secret', refused(canary, 400)],
    ['an answer that echoes it', { body: { access_token: canary, token_type: canary } }],
    ['an echo as text', { body: canary, headers: { 'content-type': `text/${canary.replaceAll(' ', '')}` } }],
    ['a failure that echoes it', { status: 500, body: canary }],
    ['a redirect with it', { status: 307, headers: { location: `https://x.example/?${encodeURIComponent(canary)}` } }],
    ['a limit', { status: 429, headers: { 'retry-after': canary } }],
    ['a broken connection', { breaks: true }],
    ['silence', { hangs: true }],
  ])('in the error after %s', async (_, answer) => {
    server.answer = () => answer
    for (const authMethod of ['client_secret_basic', 'client_secret_post'] as const) {
      const error = await failureOf(client({ authMethod, clientSecret: 'other', nextClientSecret: canary }).token())
      expect(error).toBeInstanceOf(ClientError)
      expectNoSecret(printed(error))
    }
  })

  it('in part, where a long description is cut in the middle of it', async () => {
    server.answer = () => refused('invalid_client', 401, `${'x'.repeat(180)}${canary}`)
    expect((await failureOf(client().token())).message).not.toContain(canary.slice(0, 10))
  })

  it('in the error after an assertion is echoed', async () => {
    const { privateKey } = await generateSigningKey('ES256')
    const privateKeyOption = { jwk: privateKey.export({ format: 'jwk' }) }
    let assertion = ''
    server.answer = ({ form }) => {
      assertion = form.get('client_assertion')!
      return refused('invalid_client', 401, assertion)
    }
    const error = await failureOf(client({ clientSecret: undefined, privateKey: privateKeyOption }).token())
    expect(error.message).toContain('[redacted]')
    for (const part of assertion.split('.')) expect(printed(error)).not.toContain(part)
  })

  it('in the error where a fetch that was passed in throws the request', async () => {
    const fetch: typeof globalThis.fetch = async (_, init) => {
      throw Object.assign(new Error(`failed: ${JSON.stringify(init)}`), { code: canary, request: init })
    }
    const one = client({ fetch, authMethod: 'client_secret_post', tokenEndpoint: `${server.issuer}token` })
    expectNoSecret(printed(await failureOf(one.token())))
  })

  it('in the client itself', async () => {
    const one = client()
    await one.token()
    expectNoSecret(printed(one))
  })

  it.each<[string, Partial<ClientOptions>]>([
    ['a bad issuer', { issuer: 'nonsense' }],
    ['a misspelt option', { clientSecrets: canary } as Partial<ClientOptions>],
    ['a line break', { clientSecret: `${canary}\n` }],
    ['an unreadable PEM', { privateKey: { pem: canary } }],
    ['an unreadable JWK', { privateKey: { jwk: { kty: 'oct', k: canary } } }],
    ['an unknown method', { authMethod: canary as 'private_key_jwt' }],
    ['a secret in the issuer', { issuer: 'https://svc-a:canary%2Fsecret+that&must=never show@auth.example' }],
  ])('in the error after %s', (_, options) => {
    let error: unknown
    try {
      client(options)
    } catch (thrown) {
      error = thrown
    }
    expect(error).toMatchObject({ code: 'invalid_configuration' })
    expectNoSecret(printed(error))
  })

  it('and may be given wrapped', async () => {
    await client({ clientSecret: new Secret('abc') }).token()
    expect(server.requests[0]!.headers.authorization).toBe(`Basic ${Buffer.from('svc-a:abc').toString('base64')}`)
  })
})
