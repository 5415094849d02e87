import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { refusal } from '../refusal.fixture.ts'
import {
  contentDigest,
  grpcBinding,
  httpBinding,
  kafkaMessageBinding,
  kafkaRecordBinding,
  withoutTokenFields,
} from './call-binding.ts'

const bytes = (text: string) => Buffer.from(text)
const none = new Uint8Array()

describe('contentDigest', () => {
  it('is the SHA-256 of the bytes in base64url, also of none', () => {
    expect(contentDigest(none)).toBe('sha-256:47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU')
    expect(contentDigest(bytes('abc'))).toBe('sha-256:ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0')
  })

  it('sees only the bytes of a view, not those of the memory behind it', () => {
    const memory = new Uint8Array([9, 97, 98, 99, 9])
    expect(contentDigest(memory.subarray(1, 4))).toBe(contentDigest(bytes('abc')))
  })

  it.each([
    ['1.0 for 1', '{"n":1}', '{"n":1.0}'],
    ['a space at the end', '{}', '{} '],
    ['CRLF for a line feed', 'a\nb', 'a\r\nb'],
    ['NFD for NFC', '\u00e9', 'e\u0301'],
    ['a byte order mark', '{}', '\ufeff{}'],
    ['members in another order', '{"a":1,"b":2}', '{"b":2,"a":1}'],
  ])('tells %s apart', (_what, one, other) => {
    expect(contentDigest(bytes(one))).not.toBe(contentDigest(bytes(other)))
  })
})

describe('httpBinding', () => {
  const targetOf = (target: string) => httpBinding({ method: 'GET', target, content: none })

  it.each([
    '/',
    '/v1/stock?sku=1',
    '//v1/stock',
    '/a//b',
    '/a/../b',
    '/a/%2e%2e/b',
    '/a;b=c/d',
    '/a?b=1&a=2&b=3',
    '/a?b=x+y',
    '/a?b=x%20y',
    '/a?',
    '/A',
    '/%C3%A9',
    '/http://other.example.com/b',
    '/a?next=http://other.example.com/',
    '*',
  ])('keeps the target %s as it stands', (target) => {
    expect(targetOf(target)).toMatchObject({ target })
  })

  it.each([
    ['', '/'],
    ['?a=1', '/?a=1'],
    ['http://api.example.com', '/'],
    ['http://api.example.com?a=1', '/?a=1'],
    ['https://api.example.com:8443/v1/stock?sku=1', '/v1/stock?sku=1'],
    ['HTTP://api.example.com/v1//stock', '/v1//stock'],
    ['http://user@api.example.com//v1', '//v1'],
  ])('binds the path and query of %j: %s', (given, target) => {
    expect(targetOf(given)).toMatchObject({ target })
  })

  it('writes the method upper case, and takes nothing for one that only looks like it', () => {
    for (const method of ['post', 'Post', 'POST']) {
      expect(httpBinding({ method, target: '/', content: none })).toMatchObject({ method: 'POST' })
    }
    for (const method of ['po\u017ft', '', 'GET ', 'GET\r\n', 'G/T', 'x'.repeat(65)]) {
      expect(refusal(() => httpBinding({ method, target: '/', content: none }))).toBe('binding_mismatch/method')
    }
  })

  it('binds a body that came with a GET', () => {
    expect(httpBinding({ method: 'GET', target: '/', content: bytes('x') })).not.toEqual(targetOf('/'))
  })
})

describe('grpcBinding', () => {
  it('keeps no message, an empty one and any other apart', () => {
    const digests = [null, none, bytes('\0')].map((message) => grpcBinding({ method: '/p.S/M', message }))
    expect(new Set(digests.map(({ digest }) => digest)).size).toBe(3)
    expect(digests[0]).toEqual({ transport: 'grpc', method: '/p.S/M', digest: null })
  })
})

describe('kafkaRecordBinding', () => {
  it('keeps a tombstone and an empty value apart, and so no key and an empty one', () => {
    const values = [null, none].flatMap((key) =>
      [null, none].map((value) => kafkaRecordBinding({ topic: 't', key, value })),
    )
    expect(new Set(values.map((one) => JSON.stringify(one))).size).toBe(4)
    expect(values[0]).toEqual({ transport: 'kafka', topic: 't', key: null, digest: null })
  })
})

describe('kafkaMessageBinding', () => {
  const digestOf = (message: object) => kafkaMessageBinding({ topic: 't', key: null, message }).digest

  it('is the digest of the canonical JSON, without the fields of the token', () => {
    expect(digestOf({ b: 1.0, a: 'é', M2MToken: 'x', m2mToken: 'y', m2mPayload: {} })).toBe(
      contentDigest(bytes('{"a":"é","b":1}')),
    )
    expect(digestOf({ M2MToken: 'x' })).toBe(contentDigest(bytes('{}')))
  })

  it('leaves out the fields of the token at the top only, and under no other name', () => {
    const plain = digestOf({ a: 1 })
    for (const more of [{ nested: { M2MToken: 'x' } }, { M2mToken: 'x' }, { m2mtoken: 'x' }, { m2mpayload: 1 }]) {
      expect(digestOf({ a: 1, ...more })).not.toBe(plain)
    }
  })

  it('refuses what has no canonical JSON, and lists', () => {
    const cycle: Record<string, unknown> = {}
    cycle.self = cycle
    for (const message of [{ a: Number.NaN }, { a: 1n }, { a: '\ud800' }, { a: () => 1 }, cycle, [], [1]]) {
      expect(refusal(() => digestOf(message))).toBe('binding_mismatch/digest')
    }
  })

  it('does not change when members change their places, and always when a value changes', () => {
    const messages = fc.dictionary(fc.string({ maxLength: 8 }), fc.jsonValue({ maxDepth: 2 }), {
      minKeys: 1,
      maxKeys: 6,
    })
    fc.assert(
      fc.property(messages, fc.nat(), fc.jsonValue({ maxDepth: 1 }), (message, index, value) => {
        const entries = Object.entries(message)
        const reversed = Object.fromEntries(entries.toReversed())
        expect(digestOf(reversed)).toBe(digestOf(message))
        const [name, before] = entries[index % entries.length] as [string, unknown]
        const same = JSON.stringify(sorted(before)) === JSON.stringify(sorted(value))
        if (tokenFields.includes(name) || name === '__proto__') return
        expect(digestOf({ ...message, [name]: value }) === digestOf(message)).toBe(same)
      }),
    )
  })
})

describe('withoutTokenFields', () => {
  it('leaves the message itself as it is', () => {
    const message = Object.freeze({ a: 1, M2MToken: 'x', m2mPayload: {} })
    expect(withoutTokenFields(message)).toEqual({ a: 1 })
    expect(message).toEqual({ a: 1, M2MToken: 'x', m2mPayload: {} })
  })

  it('keeps a member called __proto__ a member', () => {
    const message = JSON.parse('{"__proto__":{"admin":true},"M2MToken":"x"}')
    const rest = withoutTokenFields(message) as { admin?: boolean }
    expect(Object.keys(rest)).toEqual(['__proto__'])
    expect(rest.admin).toBeUndefined()
  })
})

const tokenFields = ['M2MToken', 'm2mToken', 'm2mPayload']

/** A form in which objects with the same members are the same, and nothing else is. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted)
  if (typeof value !== 'object' || value === null) return Object.is(value, -0) ? 0 : value
  const members = Object.entries(value).map(([name, member]) => [name, sorted(member)] as const)
  return { members: members.sort(([one], [other]) => (one < other ? -1 : 1)) }
}
