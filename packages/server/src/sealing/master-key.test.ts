import { randomBytes } from 'node:crypto'
import { inspect } from 'node:util'
import { describe, expect, it } from 'vitest'
import { createMasterKey, generateMasterKey, masterKeyFault } from './master-key.ts'

const text = generateMasterKey()
const masterKey = createMasterKey(text)

describe('a sealed value', () => {
  const sealed = masterKey.seal(Buffer.from('a private key'), 'signing-key/a')

  it('opens under the same key and in the same context', () => {
    expect(createMasterKey(text).open(sealed, 'signing-key/a').toString()).toBe('a private key')
  })

  it('does not open in another context, so that sealed keys cannot be swapped in the database', () => {
    expect(() => masterKey.open(sealed, 'signing-key/b')).toThrow(expect.objectContaining({ code: 'wrong_master_key' }))
  })

  it('does not open under another key', () => {
    const other = createMasterKey(generateMasterKey())
    expect(() => other.open(sealed, 'signing-key/a')).toThrow(expect.objectContaining({ code: 'wrong_master_key' }))
  })

  it('does not open with any bit changed, cut short, or of another version', () => {
    const bytes = Buffer.from(sealed.slice(3), 'base64url')
    for (let index = 0; index < bytes.length; index += 1) {
      const changed = Buffer.from(bytes)
      changed[index]! ^= 1
      expect(() => masterKey.open(`v1.${changed.toString('base64url')}`, 'signing-key/a')).toThrow()
    }
    for (const bad of ['', 'v1.', `v2.${sealed.slice(3)}`, sealed.slice(0, 20)]) {
      expect(() => masterKey.open(bad, 'signing-key/a')).toThrow(expect.objectContaining({ code: 'wrong_master_key' }))
    }
  })

  it('is another each time', () => {
    expect(masterKey.seal(Buffer.from('x'), 'c')).not.toBe(masterKey.seal(Buffer.from('x'), 'c'))
  })
})

describe('a master key', () => {
  it('is taken as base64, base64url or hex of 32 bytes, and nothing else', () => {
    const bytes = randomBytes(32)
    for (const good of [bytes.toString('base64'), bytes.toString('base64url'), bytes.toString('hex'), `${text}\n`]) {
      expect(masterKeyFault(good)).toBeUndefined()
    }
    for (const bad of [
      '',
      'password',
      randomBytes(31).toString('base64'),
      randomBytes(33).toString('hex'),
      'é'.repeat(43),
    ]) {
      expect(masterKeyFault(bad)).toContain('openssl rand -base64 32')
    }
  })

  it('gives each use a key of its own, the same after every start', () => {
    const again = createMasterKey(text)
    expect(again.auditKey.equals(masterKey.auditKey)).toBe(true)
    expect(again.clientSecretKey.equals(masterKey.clientSecretKey)).toBe(true)
    expect(masterKey.auditKey.asymmetricKeyType).toBe('ed25519')
  })

  it('never shows itself', () => {
    const shown = inspect(masterKey, { depth: 5, showHidden: true }) + JSON.stringify(masterKey)
    const root = Buffer.from(text, 'base64url')
    for (const form of [text, root.toString('hex'), root.toString('base64')]) expect(shown).not.toContain(form)
  })
})
