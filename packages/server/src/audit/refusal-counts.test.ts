import { expect, it } from 'vitest'
import type { AuditFact } from './event.ts'
import { RefusalCounts } from './refusal-counts.ts'

it('makes one row per address of any number of refusals, with their count', async () => {
  const rows: AuditFact[] = []
  const counts = new RefusalCounts(async (fact) => void rows.push(fact))
  for (let index = 0; index < 5000; index += 1)
    counts.note({ address: index % 2 ? '192.0.2.1' : '192.0.2.2', limit: 'address' })
  await counts.flush()
  expect(rows.map(({ address, count, type }) => [type, address, count])).toEqual([
    ['rate_limit.exceeded', '192.0.2.2', 2500],
    ['rate_limit.exceeded', '192.0.2.1', 2500],
  ])
})

it('bounds its memory and its rows when the flood comes from everywhere', async () => {
  const rows: AuditFact[] = []
  const counts = new RefusalCounts(async (fact) => void rows.push(fact))
  for (let index = 0; index < 20_000; index += 1) {
    counts.note({ address: `10.${index >> 16}.${(index >> 8) & 255}.${index & 255}`, limit: 'address' })
  }
  await counts.flush()
  expect(rows).toHaveLength(257)
  expect(rows.reduce((sum, { count }) => sum + (count ?? 0), 0)).toBe(20_000)
  expect(rows.filter(({ address }) => address === undefined)).toHaveLength(1)
})

it('counts an IPv6 /64 as one address, since whoever has one of it has them all', async () => {
  const rows: AuditFact[] = []
  const counts = new RefusalCounts(async (fact) => void rows.push(fact))
  for (let index = 1; index < 100; index += 1)
    counts.note({ address: `2001:db8::${index.toString(16)}`, limit: 'address' })
  await counts.flush()
  expect(rows).toHaveLength(1)
  expect(rows[0]?.count).toBe(99)
})

it('loses no count while the store is away', async () => {
  const rows: AuditFact[] = []
  let away = true
  const counts = new RefusalCounts(async (fact) => {
    if (away) throw new Error('away')
    rows.push(fact)
  })
  counts.note({ address: '192.0.2.1', limit: 'client', clientId: 'svc-a' })
  await counts.flush()
  away = false
  counts.note({ address: '192.0.2.1', limit: 'client', clientId: 'svc-a' })
  await counts.flush()
  expect(rows).toMatchObject([{ address: '192.0.2.1', count: 2, client_id: 'svc-a' }])
})
