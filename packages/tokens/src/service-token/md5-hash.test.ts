import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { refusal } from '../refusal.fixture.ts'
import { md5MessageHash, md5RequestHash, md5RequestHashes } from './md5-hash.ts'

const md5 = (text: string) => createHash('md5').update(text).digest('hex')
const post = { method: 'POST', target: '/v1/stock?sku=1', content: Buffer.from('{"n":1}') }
const get = { method: 'GET', target: '/v1/stock', content: new Uint8Array() }

describe('md5RequestHash', () => {
  it('is the hash of method, path, query and body, in that order', () => {
    expect(md5RequestHash(post)).toBe(md5('{"method":"POST","url":"/v1/stock","params":{"sku":"1"},"data":{"n":1}}'))
    expect(md5RequestHash(get)).toBe(md5('{"method":"GET","url":"/v1/stock","params":{},"data":{}}'))
    expect(md5RequestHash({ ...get, target: '/v1/stock?' })).toBe(md5RequestHash(get))
  })

  it('is one of those that a receiver accepts', () => {
    for (const call of [post, get, { ...post, content: Buffer.from('null') }, { ...get, target: '/?a=1&a=2&b' }]) {
      expect(md5RequestHashes(call)).toContain(md5RequestHash(call))
      expect(md5RequestHashes(call, 'https://api.example.com')).toContain(md5RequestHash(call))
    }
  })

  it('sees texts as values of the query, a list where a name is repeated, and no prototype', () => {
    const call = { ...get, target: '/q?b=x+y&a=1&b=%C3%A9&c&__proto__=p&constructor=q&toString=r' }
    expect(md5RequestHash(call)).toBe(
      md5(
        '{"method":"GET","url":"/q","params":{"b":["x y","é"],"a":"1","c":"","__proto__":"p","constructor":"q","toString":"r"},"data":{}}',
      ),
    )
  })
})

describe('md5RequestHashes', () => {
  it('are few, and all different', () => {
    const counts = [post, get, { ...post, target: '/' }, { ...get, target: '/?a=1' }].map((call) => {
      const hashes = md5RequestHashes(call, 'https://api.example.com')
      expect(new Set(hashes).size).toBe(hashes.length)
      return hashes.length
    })
    expect(counts).toEqual([2, 8, 4, 4])
  })

  it('are those of the path alone, or of the public base that was configured', () => {
    const hash = (url: string) => md5(`{"method":"GET","url":"${url}"}`)
    for (const base of ['https://api.example.com', 'https://api.example.com/']) {
      const hashes = md5RequestHashes(get, base)
      expect(hashes).toContain(hash('/v1/stock'))
      expect(hashes).toContain(hash('https://api.example.com/v1/stock'))
    }
    expect(md5RequestHashes(get)).not.toContain(hash('https://api.example.com/v1/stock'))
  })

  it('never leave a query or a body out that is there', () => {
    const hashes = md5RequestHashes(post)
    expect(hashes).toEqual([md5('{"method":"POST","url":"/v1/stock","params":{"sku":"1"},"data":{"n":1}}')])
    expect(md5RequestHashes({ ...post, content: Buffer.from('{}') })).toEqual([
      md5('{"method":"POST","url":"/v1/stock","params":{"sku":"1"},"data":{}}'),
    ])
  })

  it.each(['a=1', '{"n":1', '{"n":1,"n":2}', '\u0000', ' ', '{"n":1e999}', '{"__proto__":1}'])(
    'are refused for the body %j, which cannot be bound',
    (body) => {
      const call = { ...post, content: Buffer.from(body) }
      expect(refusal(() => md5RequestHashes(call))).toBe('binding_mismatch/digest')
      expect(refusal(() => md5RequestHash(call))).toBe('binding_mismatch/digest')
    },
  )

  it('are of the bytes of a view only', () => {
    const memory = new TextEncoder().encode('xx{"n":1}xx')
    expect(md5RequestHashes({ ...post, content: memory.subarray(2, -2) })).toEqual(md5RequestHashes(post))
  })
})

describe('md5MessageHash', () => {
  it('is of the message as JSON.stringify writes it, without the fields of the token', () => {
    expect(md5MessageHash({ b: 1, a: [2], M2MToken: 'x', m2mToken: 'y', m2mPayload: {} })).toBe(md5('{"b":1,"a":[2]}'))
    expect(md5MessageHash({ a: [2], b: 1 })).not.toBe(md5MessageHash({ b: 1, a: [2] }))
  })
})
