import { describe, expect, it } from 'vitest'
import { type ClientOptions, createClient } from './index.ts'
import { metadataUrl } from './issuer.ts'

const good: ClientOptions = { issuer: 'https://auth.example.com/', clientId: 'svc-a', clientSecret: 's' }

function create(options: Record<string, unknown>) {
  return () => createClient({ ...good, ...options } as ClientOptions)
}

describe('the issuer', () => {
  it.each([
    'https://auth.example.com',
    'https://auth.example.com/t/',
    'http://localhost:8080/',
    'http://127.0.0.1',
    'http://127.9.9.9',
    'http://[::1]:80/',
  ])('may be %s', (issuer) => expect(create({ issuer })).not.toThrow())

  it.each([
    'http://auth.example.com/',
    'http://localhost.example.com/',
    'http://127.0.0.1.example.com/',
    'http://10.0.0.1/',
    'http://[::ffff:10.0.0.1]/',
    'ftp://localhost/',
    'https://user:pass@auth.example.com/',
    'https://auth.example.com/?a',
    'https://auth.example.com/?',
    'https://auth.example.com/#a',
    'https://auth.example.com/#',
    'auth.example.com',
    '',
    undefined,
    null,
    {},
  ])('may not be %s', (issuer) => {
    expect(create({ issuer })).toThrow(expect.objectContaining({ code: 'invalid_configuration' }))
  })

  it('may be plain http where the operator says so', () => {
    expect(create({ issuer: 'http://auth.internal/', allowInsecureIssuer: true })).not.toThrow()
  })

  it('has its metadata at the root, with its path behind (RFC 8414 section 3.1)', () => {
    const root = 'https://a.example/.well-known/oauth-authorization-server'
    expect(metadataUrl(new URL('https://a.example'))).toBe(root)
    expect(metadataUrl(new URL('https://a.example/'))).toBe(root)
    expect(metadataUrl(new URL('https://a.example/t1'))).toBe(`${root}/t1`)
    expect(metadataUrl(new URL('https://a.example/t1/'))).toBe(`${root}/t1`)
  })
})

describe('options that cannot work are refused with a sentence', () => {
  it.each<[string, Record<string, unknown>, RegExp]>([
    ['no credential', { clientSecret: undefined }, /give clientSecret, or privateKey/],
    ['an empty secret', { clientSecret: '' }, /empty/],
    ['a secret that is a number', { clientSecret: 7 }, /must be a string/],
    ['no client id', { clientId: '' }, /clientId/],
    ['private_key_jwt without a key', { authMethod: 'private_key_jwt' }, /needs privateKey/],
    ['a method named like a member of every object', { authMethod: 'toString' }, /authMethod must be/],
    ['a key twice', { privateKey: { jwk: {}, pem: '' } }, /exactly one/],
    ['a misspelt option', { client_secret: 's' }, /no option "client_secret"/],
    ['a target with a path', { targets: { 'https://api.example.com/v1': {} } }, /scheme, host and port only/],
    ['a target without a scheme', { origins: ['api.example.com'] }, /scheme, host and port only/],
    ['a target of another scheme', { origins: ['file:///'] }, /scheme, host and port only/],
    ['a token endpoint in the clear', { tokenEndpoint: 'http://auth.example.com/token' }, /in the clear/],
    ['a timeout that is text', { timeoutMilliseconds: '5' }, /timeoutMilliseconds must be a number/],
    ['a timeout that is not a number', { timeoutMilliseconds: Number.NaN }, /timeoutMilliseconds must be a number/],
    ['retries without end', { maximumRetries: Number.POSITIVE_INFINITY }, /maximumRetries must be a number/],
  ])('%s', (_, options, message) => {
    expect(create(options)).toThrow(expect.objectContaining({ code: 'invalid_configuration' }))
    expect(create(options)).toThrow(message)
  })

  it('scopes with characters that no scope has', async () => {
    expect(create({ scope: 'a"b' })).toThrow(expect.objectContaining({ code: 'invalid_scope' }))
    await expect(create({})().token({ scope: 'a\nb' })).rejects.toMatchObject({ code: 'invalid_scope' })
  })

  it('an empty audience', async () => {
    await expect(create({})().token({ audience: '' })).rejects.toMatchObject({ code: 'invalid_target' })
  })
})
