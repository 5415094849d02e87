import { describe, expect, it } from 'vitest'
import { createRevocationList } from './revocation-list.ts'

const token = { jti: 't', client_id: 'c', iat: 0, kid: 'k', iss: 'i' }

describe('the list of revocations', () => {
  it('lets go of tokens that have ended, and of nothing else', () => {
    let time = 0
    const list = createRevocationList({ maximumEntries: 1_000_000, now: () => time })
    list.add({ kind: 'client', clientId: 'old', before: 5 })
    list.add({ kind: 'key', keyId: 'old' })
    for (let index = 0; index < 9_000; index++) list.add({ kind: 'token', tokenId: `a${index}`, expiresAt: 100 })
    time = 8_000_000
    for (let index = 0; index < 9_000; index++) list.add({ kind: 'token', tokenId: `b${index}`, expiresAt: 9_000 })
    expect(list.size).toBe(9_002)
    expect(list.has({ ...token, jti: 'b0' })).toBe(true)
    expect(list.has({ ...token, client_id: 'old', iat: 5 })).toBe(true)
    expect(list.has({ ...token, client_id: 'old', iat: 6 })).toBe(false)
    expect(list.has({ ...token, kid: 'old' })).toBe(true)
  })

  it('refuses to grow past its bound rather than to forget', () => {
    const list = createRevocationList({ maximumEntries: 20, now: () => 0 })
    expect(() => {
      for (let index = 0; index < 30; index++) list.add({ kind: 'token', tokenId: String(index), expiresAt: 1e9 })
    }).toThrow(/more than 20/)
    expect(list.has({ ...token, jti: '0' })).toBe(true)
  })
})
