import fc from 'fast-check'
import { expect, it } from 'vitest'
import { createMasterKey, generateMasterKey } from '../sealing/master-key.ts'
import { issuanceId } from './issuance-id.ts'

const ids = issuanceId(createMasterKey(generateMasterKey()))
const agent = 'spiffe://example.org/spire/agent/join_token/1'
const end = 1_800_000_000

it('makes positive serial numbers of 20 bytes, none like another', () => {
  const made = Array.from({ length: 2_000 }, () => ids.make(agent, 'entry', end))
  for (const bytes of made) {
    expect(bytes).toHaveLength(20)
    expect((bytes[0] as number) >> 6).toBe(1)
  }
  expect(new Set(made.map((bytes) => bytes.toString('hex'))).size).toBe(2_000)
})

it('knows what it made for whom, until when, and for whom it did not', () => {
  const moment = fc.integer({ min: 0, max: 0xffff_ffff })
  fc.assert(
    fc.property(fc.string(), fc.string(), fc.string(), fc.string(), moment, (one, entry, other, another, expiresAt) => {
      const bytes = ids.make(one, entry, expiresAt)
      expect(ids.expiryOf(bytes, one, entry)).toBe(expiresAt)
      expect(ids.belongsTo(bytes, other, another)).toBe(one === other && entry === another)
    }),
  )
})

it('does not take one pair of names for another that reads the same when joined', () => {
  expect(ids.belongsTo(ids.make('a', 'bc', end), 'ab', 'c')).toBe(false)
  expect(ids.belongsTo(ids.make('a', '","', end), 'a","', '')).toBe(false)
})

it('does not know a number that was altered, cut off, or made under another master key', () => {
  const bytes = ids.make(agent, 'entry', end)
  for (let place = 0; place < bytes.length; place += 1) {
    const altered = Buffer.from(bytes)
    altered[place] = (altered[place] as number) ^ 1
    expect(ids.belongsTo(altered, agent, 'entry')).toBe(false)
  }
  expect(ids.belongsTo(bytes.subarray(0, 19), agent, 'entry')).toBe(false)
  expect(ids.belongsTo(Buffer.alloc(0), agent, 'entry')).toBe(false)
  expect(issuanceId(createMasterKey(generateMasterKey())).belongsTo(bytes, agent, 'entry')).toBe(false)
})
