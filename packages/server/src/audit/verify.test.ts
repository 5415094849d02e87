import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { canonicalJson } from '@countersign/tokens'
import { beforeAll, describe, expect, it } from 'vitest'
import { chainHash, chainStart, signHead } from './chain.ts'
import type { AuditHead } from './event.ts'
import { type AuditEvidence, verifyChains } from './verify.ts'

type Row = Record<string, unknown> & { chain: string; sequence: number; hash: string }

let privateKey: KeyObject
let publicKey: KeyObject
let strangersKey: KeyObject

beforeAll(() => {
  ;({ privateKey, publicKey } = generateKeyPairSync('ed25519'))
  strangersKey = generateKeyPairSync('ed25519').privateKey
})

function chain(name: string, length: number): Row[] {
  const rows: Row[] = []
  for (let sequence = 1; sequence <= length; sequence += 1) {
    rows.push({
      chain: name,
      sequence,
      time: new Date(sequence * 1000).toISOString(),
      type: 'token.issued',
      outcome: 'success',
      jti: `t${sequence}`,
      hash: '',
    })
  }
  return rehashed(rows)
}

/** What someone does who can write to the table and knows the format, but has no audit key. */
function rehashed(rows: Row[]): Row[] {
  let previous = chainStart
  return rows.map((row) => {
    const { hash: _old, ...event } = row
    previous = chainHash(previous, canonicalJson(event))
    return { ...row, hash: previous }
  })
}

function headOf(rows: Row[], key = privateKey, at = rows.length): AuditHead {
  const row = rows[at - 1] as Row
  return signHead({ chain: row.chain, sequence: row.sequence, hash: row.hash, time: '2026-01-01T00:00:00.000Z' }, key)
}

const check = async (events: unknown[], heads: AuditHead[], more: Partial<AuditEvidence> = {}) =>
  (await verifyChains({ events, heads, publicKey, ...more })).broken.map((place) => [
    place.chain,
    place.sequence,
    place.problem,
  ])

describe('a whole chain', () => {
  it('holds, with other chains mixed in, from an async iterable, with the key as a JWK', async () => {
    const [a, b] = [chain('a', 30), chain('b', 20)]
    async function* mixed() {
      for (let index = 0; index < 30; index += 1) {
        yield a[index]
        if (b[index]) yield b[index]
      }
    }
    const verdict = await verifyChains({
      events: mixed(),
      heads: [headOf(a), headOf(b)],
      publicKey: publicKey.export({ format: 'jwk' }),
      notedHeads: [headOf(a, privateKey, 12), headOf(b)],
    })
    expect(verdict.broken).toEqual([])
    expect(verdict.chains).toEqual([
      { chain: 'a', sequence: 30, hash: a[29]?.hash },
      { chain: 'b', sequence: 20, hash: b[19]?.hash },
    ])
  })

  it('may have grown since its head was read, when that is said', async () => {
    const rows = chain('a', 10)
    expect(await check(rows, [headOf(rows, privateKey, 8)], { allowNewer: true })).toEqual([])
    expect(await check(rows, [headOf(rows, privateKey, 8)])).toEqual([['a', 9, 'beyond_head']])
  })
})

describe('a broken chain is found and its first broken place named', () => {
  const cases: [string, (rows: Row[]) => Row[], unknown[]][] = [
    [
      'an edited event',
      (rows) => rows.map((row) => (row.sequence === 5 ? { ...row, outcome: 'failure' } : row)),
      ['a', 5, 'edited'],
    ],
    [
      'an added member',
      (rows) => rows.map((row) => (row.sequence === 5 ? { ...row, reason: 'x' } : row)),
      ['a', 5, 'edited'],
    ],
    ['an edited event with its own hash computed anew', editedAndRehashedAlone, ['a', 6, 'edited']],
    [
      'an edited event with all hashes computed anew',
      (rows) => rehashed(rows.map((row) => (row.sequence === 5 ? { ...row, jti: 'x' } : row))),
      ['a', 10, 'rewritten'],
    ],
    ['a removed event', (rows) => rows.filter(({ sequence }) => sequence !== 5), ['a', 5, 'removed']],
    [
      'several removed events',
      (rows) => rows.filter(({ sequence }) => sequence < 4 || sequence > 7),
      ['a', 4, 'removed'],
    ],
    ['the first event removed', (rows) => rows.slice(1), ['a', 1, 'removed']],
    [
      'a removed event, the others renumbered',
      (rows) => renumbered(rows.filter(({ sequence }) => sequence !== 5)),
      ['a', 5, 'edited'],
    ],
    [
      'a removed event, the others renumbered and rehashed',
      (rows) => rehashed(renumbered(rows.filter(({ sequence }) => sequence !== 5))),
      ['a', 10, 'tail_cut'],
    ],
    [
      'two events in the wrong order',
      (rows) => [...rows.slice(0, 4), rows[5] as Row, rows[4] as Row, ...rows.slice(6)],
      ['a', 5, 'reordered'],
    ],
    [
      'two events whose places were exchanged',
      (rows) => renumbered([...rows.slice(0, 4), rows[5] as Row, rows[4] as Row, ...rows.slice(6)]),
      ['a', 5, 'edited'],
    ],
    [
      'an inserted event',
      (rows) => [...rows.slice(0, 5), { ...(rows[4] as Row), jti: 'fake' }, ...rows.slice(5)],
      ['a', 5, 'inserted'],
    ],
    [
      'an inserted event, the others renumbered',
      (rows) => renumbered([...rows.slice(0, 5), { ...(rows[4] as Row), jti: 'fake' }, ...rows.slice(5)]),
      ['a', 6, 'edited'],
    ],
    [
      'an inserted event, all rehashed',
      (rows) => rehashed(renumbered([...rows.slice(0, 5), { ...(rows[4] as Row), jti: 'fake' }, ...rows.slice(5)])),
      ['a', 10, 'rewritten'],
    ],
    [
      'events added at the end',
      (rows) => rehashed([...rows, { ...(rows[9] as Row), sequence: 11 }]),
      ['a', 11, 'beyond_head'],
    ],
    ['a cut tail', (rows) => rows.slice(0, 7), ['a', 8, 'tail_cut']],
    ['a removed chain', () => [], ['a', 1, 'tail_cut']],
    ['what is no event', (rows) => [...rows.slice(0, 3), { chain: 'a' } as unknown as Row], ['a', 4, 'malformed']],
  ]
  for (const [what, tamper, place] of cases) {
    it(what, async () => {
      const rows = chain('a', 10)
      const intact = chain('b', 5)
      expect(await check([...tamper(rows), ...intact], [headOf(rows), headOf(intact)])).toEqual([place])
    })
  }

  it('a head that somebody else signed, or that was altered', async () => {
    const rows = chain('a', 10)
    expect(await check(rows, [headOf(rows, strangersKey)])).toEqual([['a', 10, 'head_signature']])
    expect(await check(rows, [{ ...headOf(rows), time: 'x' }])).toEqual([['a', 10, 'head_signature']])
    expect(await check(rows, [{ ...headOf(rows), signature: '' }])).toEqual([['a', 10, 'head_signature']])
  })

  it('a chain whose head was removed', async () => {
    expect(await check(chain('a', 10), [])).toEqual([['a', 10, 'head_missing']])
  })

  it('a tail cut together with its head put back to an earlier, rightly signed one: by a head noted before', async () => {
    const rows = chain('a', 10)
    const cut = rows.slice(0, 6)
    expect(await check(cut, [headOf(cut)])).toEqual([])
    expect(await check(cut, [headOf(cut)], { notedHeads: [headOf(rows)] })).toEqual([['a', 7, 'noted_head_missing']])
  })

  it('a chain removed together with its head: by a head noted before', async () => {
    expect(await check([], [], { notedHeads: [headOf(chain('a', 10))] })).toEqual([['a', 1, 'noted_head_missing']])
  })

  it('a past rewritten by someone who has the audit key: by a head noted before', async () => {
    const rows = chain('a', 10)
    const rewritten = rehashed(rows.map((row) => (row.sequence === 3 ? { ...row, outcome: 'failure' } : row)))
    expect(await check(rewritten, [headOf(rewritten)])).toEqual([])
    const noted = headOf(rows, privateKey, 5)
    expect(await check(rewritten, [headOf(rewritten)], { notedHeads: [noted] })).toEqual([
      ['a', 5, 'noted_head_changed'],
    ])
  })

  it('a noted head that was not signed by the audit key', async () => {
    const rows = chain('a', 10)
    const noted = headOf(rows, strangersKey, 5)
    expect(await check(rows, [headOf(rows)], { notedHeads: [noted] })).toEqual([['a', 5, 'noted_head_signature']])
  })
})

it('never throws, whatever the events are', async () => {
  const odd = [
    null,
    1,
    'x',
    [],
    {},
    { chain: 7 },
    { chain: 'a', sequence: 1.5, hash: 'x' },
    { chain: 'a', sequence: 1, hash: 'x', y: '\ud800' },
  ]
  const { broken } = await verifyChains({ events: odd, heads: [], publicKey })
  expect(broken.length).toBeGreaterThan(0)
})

function renumbered(rows: Row[]): Row[] {
  return rows.map((row, index) => ({ ...row, sequence: index + 1 }))
}

function editedAndRehashedAlone(rows: Row[]): Row[] {
  const edited = rows.map((row) => ({ ...row }))
  const { hash: _old, ...event } = { ...(edited[4] as Row), outcome: 'failure' }
  edited[4] = { ...event, hash: chainHash(edited[3]?.hash as string, canonicalJson(event)) } as Row
  return edited
}
