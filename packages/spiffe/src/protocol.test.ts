import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Entry } from '@countersign/spiffe/protocol/spire-types'
import { describe, expect, it } from 'vitest'
import { protocolDigest } from './protocol-digest.fixture.ts'

describe('the generated protocol', () => {
  it('is in step with the .proto files; if not: npm run protocol -w packages/spiffe', () => {
    expect(readFileSync(join(import.meta.dirname, 'protocol/DIGEST'), 'utf8')).toBe(protocolDigest())
  })

  it('puts the fields of an entry where SPIRE has them, and ours where SPIRE skips it', () => {
    const entry = Entry.fromPartial({ id: 'e', hint: 'h', policy: { notRoot: true } })
    const wire = Buffer.from(Entry.encode(entry).finish()).toString('hex')
    // Field 1, field 14, field 1000, each length-delimited.
    expect(wire).toBe('0a0165' + '720168' + 'c23e021001')
    expect(Entry.decode(Buffer.from(wire, 'hex'))).toEqual(entry)
  })
})
