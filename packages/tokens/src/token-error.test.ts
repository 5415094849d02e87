import { describe, expect, it } from 'vitest'
import { quoted, TokenError } from './token-error.ts'

describe('TokenError', () => {
  it('carries a code, and the part at fault where there is one', () => {
    expect(new TokenError('wrong_issuer', 'the issuer is wrong', 'iss')).toMatchObject({
      code: 'wrong_issuer',
      part: 'iss',
    })
    expect(new TokenError('invalid_signature', 'no')).not.toHaveProperty('part')
    expect(new TokenError('invalid_signature', 'no')).toBeInstanceOf(Error)
  })

  it('quotes values short, on one line and in ASCII', () => {
    expect(quoted('a"b\r\nc\u001b[31m\u2028é')).toMatch(/^"a\\"b\\r\\nc\\u001b\[31m\?\?"$/)
    expect(quoted('x'.repeat(10_000)).length).toBeLessThan(100)
    expect([quoted(undefined), quoted(null), quoted([1]), quoted({})]).toEqual([
      'undefined',
      'null',
      'an array',
      'object',
    ])
  })
})
