import { describe, expect, it } from 'vitest'
import { codeOf } from '../refusal.fixture.ts'
import { parseSpiffeId } from './spiffe-id.ts'
import { checkSpiffePattern, matchesSpiffePattern } from './spiffe-pattern.ts'

describe('matchesSpiffePattern', () => {
  it.each([
    ['spiffe://example.org/a', 'spiffe://example.org/a', true],
    ['spiffe://example.org/a', 'spiffe://example.org/b', false],
    ['spiffe://example.org/a', 'spiffe://example.com/a', false],
    ['spiffe://example.org/a/b', 'spiffe://example.org/a', false],
    ['spiffe://example.org/a/b', 'spiffe://example.org/a/*', true],
    ['spiffe://example.org/a/b/c', 'spiffe://example.org/a/*', true],
    ['spiffe://example.org/a', 'spiffe://example.org/a/*', false],
    ['spiffe://example.org/ab', 'spiffe://example.org/a/*', false],
    ['spiffe://example.org/a', 'spiffe://example.org/*', true],
    ['spiffe://example.org', 'spiffe://example.org/*', false],
    ['spiffe://example.org.evil/a', 'spiffe://example.org/*', false],
    ['SPIFFE://EXAMPLE.ORG/a', 'spiffe://example.org/a', true],
    ['spiffe://example.org/A', 'spiffe://example.org/a', false],
    // An agent or server is no workload.
    ['spiffe://example.org/spire/agent/x509pop/a', 'spiffe://example.org/*', false],
    ['spiffe://example.org/spire', 'spiffe://example.org/*', false],
    ['spiffe://example.org/spire/agent/x509pop/a', 'spiffe://example.org/spire/agent/*', true],
    ['spiffe://example.org/spire/agent/x509pop/a', 'spiffe://example.org/spire/*', true],
    ['spiffe://example.org/spire/server', 'spiffe://example.org/spire/server', true],
    ['spiffe://example.org/spirea/b', 'spiffe://example.org/*', true],
  ])('%s by %s: %s', (id, pattern, matches) => {
    expect(matchesSpiffePattern(id, pattern)).toBe(matches)
    expect(matchesSpiffePattern(parseSpiffeId(id), pattern)).toBe(matches)
  })

  it('matches nothing that is no ID', () => {
    expect(matchesSpiffePattern('spiffe://example.org/a/../b', 'spiffe://example.org/a/*')).toBe(false)
  })
})

describe('checkSpiffePattern', () => {
  it.each([
    '*',
    'spiffe://*',
    'spiffe://*/a',
    'spiffe://example.org/*/a',
    'spiffe://example.org/a*',
    'spiffe://example.org/a/**',
  ])('refuses %s', (pattern) => {
    expect(codeOf(() => checkSpiffePattern(pattern))).toBe('invalid_spiffe_id')
    expect(codeOf(() => matchesSpiffePattern('spiffe://example.org/a', pattern))).toBe('invalid_spiffe_id')
  })
})
