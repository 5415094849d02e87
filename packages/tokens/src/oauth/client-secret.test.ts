import { describe, expect, it } from 'vitest'
import { createClientSecret, isWellFormedClientSecret } from './client-secret.ts'

describe('client secrets', () => {
  const secret = createClientSecret(() => Buffer.alloc(32, 7))

  it('carry 256 bits as 43 base62 digits, and 6 digits of checksum', () => {
    expect(createClientSecret()).toMatch(/^cs_secret_[0-9A-Za-z]{49}$/)
    const zeros = createClientSecret(() => Buffer.alloc(32))
    const ones = createClientSecret(() => Buffer.alloc(32, 255))
    expect(zeros.slice(0, 53)).toBe(`cs_secret_${'0'.repeat(43)}`)
    const value = [...ones.slice(10, 53)].reduce((sum, digit) => sum * 62n + BigInt(digitValue(digit)), 0n)
    expect(value).toBe(2n ** 256n - 1n)
  })

  it('differ', () => {
    expect(new Set(Array.from({ length: 1000 }, () => createClientSecret())).size).toBe(1000)
  })

  it('are told from typos without a look-up', () => {
    expect(isWellFormedClientSecret(secret)).toBe(true)
    for (let place = 0; place < secret.length; place += 1) {
      const typo = `${secret.slice(0, place)}${secret[place] === 'x' ? 'y' : 'x'}${secret.slice(place + 1)}`
      expect(isWellFormedClientSecret(typo)).toBe(false)
    }
    for (const text of [
      '',
      'cs_secret_',
      secret.slice(1),
      `${secret}0`,
      `${secret}\n`,
      secret.toUpperCase(),
      'x'.repeat(1e6),
    ]) {
      expect(isWellFormedClientSecret(text)).toBe(false)
    }
  })
})

function digitValue(digit: string): number {
  return '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'.indexOf(digit)
}
