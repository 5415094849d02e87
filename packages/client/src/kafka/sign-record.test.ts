import {
  type CallBinding,
  checkServiceToken,
  createServiceTokenSigner,
  generateSigningKey,
  importPublicJwk,
  kafkaMessageBinding,
  kafkaRecordBinding,
  md5MessageHash,
  parseJwt,
} from '@countersign/tokens'
import { describe, expect, it } from 'vitest'
import { type RecordSigner, signRecord } from './sign-record.ts'

const generated = await generateSigningKey('EdDSA')
const { publicJwk } = generated
const privateKey = { key: generated.privateKey, publicJwk }
const tokens = createServiceTokenSigner({ name: 'order', key: privateKey, now: Date.now })
const signer: RecordSigner = { profile: 'm2m', sign: tokens.sign, signMd5: () => 'never' }
const md5: RecordSigner = { profile: 'md5', sign: () => 'never', signMd5: (hash) => `md5.${hash}` }

describe('signRecord', () => {
  it('puts a token in the header m2m-token, bound to topic, key and the very bytes of the value', () => {
    const signed = signRecord(signer, { topic: 'orders', key: 'k', value: ' {"a":1}' })
    expect(signed.value).toEqual(Buffer.from(' {"a":1}'))
    const [[name, token]] = signed.headers as [[string, Buffer]]
    expect(name).toBe('m2m-token')
    const binding = kafkaRecordBinding({ topic: 'orders', key: Buffer.from('k'), value: Buffer.from(' {"a":1}') })
    expect(claimsOf(token.toString(), binding)).toMatchObject({ sender: 'order-service', aud: 'kafka:orders' })
  })

  it('puts a token into a message that is an object, bound to its canonical JSON', () => {
    const message = { b: 1, a: ['ü', 1.5], at: new Date(0) }
    const signed = signRecord(signer, { topic: 'orders', value: message }, { carrier: 'payload', tenant: 'acme' })
    expect(signed.headers).toEqual([])
    const { M2MToken, ...rest } = JSON.parse(signed.value!.toString())
    expect(rest).toEqual({ b: 1, a: ['ü', 1.5], at: '1970-01-01T00:00:00.000Z' })
    const binding = kafkaMessageBinding({ topic: 'orders', key: null, message: rest })
    expect(claimsOf(M2MToken, binding)).toMatchObject({ tenant: 'acme' })
  })

  it('signs anew each time', () => {
    const sign = () => signRecord(signer, { topic: 't', value: 'v' }).headers[0]![1].toString()
    expect(sign()).not.toBe(sign())
  })

  it('uses the header for what cannot hold a token', () => {
    const unfit = [
      null,
      '[1]',
      [1],
      5,
      '"text"',
      'text',
      Buffer.from([0, 255]),
      '{"a":1,"a":2}',
      '{"n":9007199254740993}',
      '{"s":"\\ud800"}',
      '{"__proto__":{}}',
    ]
    for (const value of unfit) {
      const signed = signRecord(signer, { topic: 't', value }, { carrier: 'payload' })
      const binding = kafkaRecordBinding({ topic: 't', key: null, value: signed.value })
      expect(claimsOf(signed.headers[0]![1].toString(), binding)).toBeDefined()
      if (typeof value === 'string') expect(signed.value!.toString()).toBe(value)
    }
    expect(signRecord(signer, { topic: 't', value: null }).value).toBeNull()
  })

  it('tells an empty key and value from none', () => {
    const signed = signRecord(signer, { topic: 't', key: '', value: '' })
    const empty = Buffer.alloc(0)
    expect(
      claimsOf(signed.headers[0]![1].toString(), kafkaRecordBinding({ topic: 't', key: empty, value: empty })).req,
    ).toMatchObject({ key: expect.stringContaining('sha-256:'), digest: expect.stringContaining('sha-256:') })
  })

  it('replaces tokens and payloads that were there before', () => {
    const headers: [string, Buffer][] = [
      ['M2M-Token', Buffer.from('old')],
      ['x-m2m-token', Buffer.from('old')],
      ['trace', Buffer.from('1')],
    ]
    const byHeader = signRecord(signer, { topic: 't', value: 'v', headers })
    expect(byHeader.headers.map(([name]) => name)).toEqual(['trace', 'm2m-token'])
    const message = { a: 1, M2MToken: 'old', m2mToken: 'old', m2mPayload: { sender: 'admin' } }
    const byPayload = signRecord(signer, { topic: 't', value: message, headers }, { carrier: 'payload' })
    expect(Object.keys(JSON.parse(byPayload.value!.toString()))).toEqual(['a', 'M2MToken'])
    expect(byPayload.headers.map(([name]) => name)).toEqual(['trace'])
  })

  it('refuses a value that has no JSON form, without quoting it', () => {
    const cycle: Record<string, unknown> = { secret: 'canary' }
    cycle.self = cycle
    for (const value of [undefined, cycle, { n: 1n }, () => 1, Symbol('x')]) {
      expect(() => signRecord(signer, { topic: 't', value })).toThrow(
        expect.objectContaining({ code: 'body_not_signable', message: expect.not.stringContaining('canary') }),
      )
    }
  })

  it('hashes JSON objects in the md5 profile, and nothing else', () => {
    const message = { b: 1, a: 2 }
    const inside = signRecord(md5, { topic: 't', value: message }, { carrier: 'payload' })
    expect(JSON.parse(inside.value!.toString()).M2MToken).toBe(`md5.${md5MessageHash(message)}`)
    const beside = signRecord(md5, { topic: 't', value: message })
    expect(beside.headers[0]![1].toString()).toBe(`md5.${md5MessageHash(message)}`)
    for (const value of [null, '[1]', 'text']) {
      expect(() => signRecord(md5, { topic: 't', value })).toThrow(
        expect.objectContaining({ code: 'body_not_signable' }),
      )
    }
  })
})

function claimsOf(token: string, binding: CallBinding) {
  const parsed = parseJwt(token)
  const audience = `kafka:${(binding as { topic: string }).topic}`
  return checkServiceToken(parsed, importPublicJwk(publicJwk), { audiences: [audience], binding }, Date.now() / 1000)
}
