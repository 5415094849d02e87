import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { codeOf } from '../refusal.fixture.ts'
import { isSpiffeId, parseSpiffeId, parseTrustDomain, spiffeId } from './spiffe-id.ts'

const trustDomains = fc.stringMatching(/^[a-z0-9._-]{1,255}$/)
const segments = fc.stringMatching(/^[A-Za-z0-9._-]{1,40}$/).filter((segment) => segment !== '.' && segment !== '..')
const paths = fc.array(segments, { maxLength: 8 }).map((parts) => parts.map((part) => `/${part}`).join(''))

describe('parseSpiffeId', () => {
  it('reads the trust domain and the path of an ID', () => {
    const id = parseSpiffeId('spiffe://example.org/ns/prod/sa/orders')
    expect(id).toEqual(spiffeId('example.org', '/ns/prod/sa/orders'))
    expect([id.trustDomain, id.path, `${id}`]).toEqual([
      'example.org',
      '/ns/prod/sa/orders',
      'spiffe://example.org/ns/prod/sa/orders',
    ])
    expect(Object.isFrozen(id)).toBe(true)
    expect(JSON.stringify({ id })).toBe('{"id":"spiffe://example.org/ns/prod/sa/orders"}')
  })

  it('takes scheme and trust domain in any case, and the path only as it is', () => {
    expect(`${parseSpiffeId('SPIFFE://Example.ORG/Orders')}`).toBe('spiffe://example.org/Orders')
  })

  it('reads back every ID that there can be', () => {
    fc.assert(
      fc.property(trustDomains, paths, (trustDomain, path) => {
        const id = spiffeId(trustDomain, path)
        expect(parseSpiffeId(`${id}`)).toEqual(id)
        expect(id).toMatchObject({ trustDomain, path })
      }),
    )
  })

  it('has one spelling for each ID: what it reads from noise comes out the same', () => {
    const noise = fc.string({ unit: fc.constantFrom(...'aA.-_/:@?#%* \0é\u212a'), maxLength: 20 })
    fc.assert(
      fc.property(noise, (text) => {
        const given = `spiffe://${text}`
        if (!isSpiffeId(given)) return
        expect(`${parseSpiffeId(given)}`).toBe(given.toLowerCase().slice(0, 9) + withLowerCaseHost(text))
      }),
      { numRuns: 2000 },
    )
  })

  it.each([
    ['', 'nothing'],
    ['spiffe:/example.org/a', 'one slash'],
    ['https://example.org/a', 'another scheme'],
    [' spiffe://example.org/a', 'a space before it'],
    ['spiffe://', 'no trust domain'],
    ['spiffe:///a', 'an empty trust domain'],
    ['spiffe://example.org:8443/a', 'a port'],
    ['spiffe://user@example.org/a', 'a user'],
    ['spiffe://example.org/a?b', 'a query'],
    ['spiffe://example.org/a#b', 'a fragment'],
    ['spiffe://example.org?b', 'a query after the trust domain'],
    ['spiffe://example.org/', 'a slash at the end'],
    ['spiffe://example.org/a/', 'a slash at the end of the path'],
    ['spiffe://example.org//a', 'an empty segment'],
    ['spiffe://example.org/.', 'a dot segment'],
    ['spiffe://example.org/a/../b', 'a double dot segment'],
    ['spiffe://example.org/%61', 'a percent sign'],
    ['spiffe://example.org/a\0', 'a NUL'],
    ['spiffe://example.org/a\n', 'a line break at its end'],
    ['spiffe://example.org/é', 'a letter beyond ASCII'],
    ['spiffe://\u212a.example.org/a', 'a Kelvin sign, whose lower case is a k'],
    ['spiffe://example.org/a*', 'a star'],
    ['spiffe://[::1]/a', 'an address in brackets'],
    [`spiffe://${'a'.repeat(256)}/b`, 'a trust domain of 256 characters'],
    [`spiffe://example.org/${'a'.repeat(2028)}`, 'more than 2048 bytes'],
  ])('refuses %j: %s', (text) => {
    expect(codeOf(() => parseSpiffeId(text))).toBe('invalid_spiffe_id')
  })

  it('takes as many as 2048 bytes, and a trust domain of 255', () => {
    expect(`${parseSpiffeId(`spiffe://example.org/${'a'.repeat(2027)}`)}`).toHaveLength(2048)
    expect(parseSpiffeId(`spiffe://${'a'.repeat(255)}/b`).trustDomain).toHaveLength(255)
  })

  it('quotes what it refuses on one short line of ASCII', () => {
    expect(() => parseSpiffeId(`spiffe://\u001b[31m\n${'é'.repeat(3000)}`)).toThrow(/^"[\x20-\x7e]{1,200}$/)
  })
})

describe('spiffeId', () => {
  it.each(['a', '/', '/a/', '/../a', '/a b', `/${'a'.repeat(2048)}`])('refuses the path %j', (path) => {
    expect(codeOf(() => spiffeId('example.org', path))).toBe('invalid_spiffe_id')
  })
})

describe('parseTrustDomain', () => {
  it('takes a name, or the ID of the trust domain', () => {
    expect([parseTrustDomain('Example.org'), parseTrustDomain('spiffe://example.org')]).toEqual([
      'example.org',
      'example.org',
    ])
  })

  it.each(['', 'spiffe://', 'example.org/a', 'spiffe://example.org/', 'exa mple', 'https://example.org', '\u212a'])(
    'refuses %j',
    (text) => {
      expect(codeOf(() => parseTrustDomain(text))).toBe('invalid_spiffe_id')
    },
  )
})

function withLowerCaseHost(text: string): string {
  const slash = text.indexOf('/')
  return slash === -1 ? text.toLowerCase() : text.slice(0, slash).toLowerCase() + text.slice(slash)
}
