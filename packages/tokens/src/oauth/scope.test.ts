import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { refusal } from '../refusal.fixture.ts'
import { formatScope, isScopeText, isScopeToken, parseScope } from './scope.ts'

describe('scopes', () => {
  it('are read in order, each once', () => {
    expect(parseScope('write:b read:a write:b')).toEqual(['write:b', 'read:a'])
    expect(parseScope('')).toEqual([])
    expect(parseScope('__proto__ constructor')).toEqual(['__proto__', 'constructor'])
  })

  it('come back as they were written', () => {
    const scope = fc.stringMatching(/^[\x21\x23-\x5b\x5d-\x7e]{1,12}$/)
    fc.assert(
      fc.property(fc.uniqueArray(scope), (scopes) => {
        expect(parseScope(formatScope(scopes))).toEqual(scopes)
      }),
    )
  })

  it('are exactly the characters of RFC 6749 section 3.3', () => {
    for (let code = 0; code < 0x180; code += 1) {
      const allowed = code === 0x21 || (code >= 0x23 && code <= 0x5b) || (code >= 0x5d && code <= 0x7e)
      expect(isScopeToken(String.fromCharCode(code)), `character ${code}`).toBe(allowed)
    }
    expect(isScopeToken('')).toBe(false)
    expect(isScopeToken('a\n')).toBe(false)
  })

  it.each(['a"b', 'a\\b', 'a\tb', 'a\nb', ' a', 'a ', 'a  b', ' ', 'é', 'a\u0000', 'a\u00a0b'])('refuse %j', (text) => {
    expect(refusal(() => parseScope(text))).toBe('invalid_claim/scope')
    expect(isScopeText(text)).toBe(false)
  })

  it('cannot be smuggled in two as one', () => {
    expect(refusal(() => formatScope(['a b']))).toBe('invalid_claim/scope')
    expect(refusal(() => formatScope(['']))).toBe('invalid_claim/scope')
  })

  it('are judged alike with and without building the list', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom('a', ' ', '"', '\\', '~', '\n'), maxLength: 8 }), (text) => {
        expect(isScopeText(text)).toBe(refusal(() => parseScope(text)) === 'accepted')
      }),
    )
  })
})
