import { expect, it } from 'vitest'
import type { AuditFact } from '../audit/event.ts'
import { EntryIndex } from './entry-index.ts'
import { newEntry } from './insert-entry.ts'
import { WithheldEntries } from './withheld-entries.ts'

const agent = { id: 'spiffe://example.org/spire/agent/x509pop/a', selectors: [] }
const now = 1_000_000

function setUp() {
  const index = new EntryIndex('example.org')
  const facts: AuditFact[] = []
  const log = { isAway: false }
  const audit = {
    record: async (fact: AuditFact) => {
      if (log.isAway) throw new Error('away')
      facts.push(fact)
    },
  }
  const add = (id: string, within: number, revisionNumber = 0) =>
    index.set({
      ...newEntry({ spiffeId: `spiffe://example.org/${id}`, parentId: agent.id, selectors: [] }),
      id,
      policy: { nodeAttestedWithinSeconds: within },
      revisionNumber,
      createdAt: 0,
      updatedAt: 0,
    })
  const withheld = new WithheldEntries({ index, audit })
  const ask = (attestedAt: number) => withheld.tell(agent, { workloadPolicies: true, attestedAt, now })
  return { index, add, ask, facts, log }
}

it('tells once which entries an agent does not get, and again when they change', async () => {
  const { index, add, ask, facts } = setUp()
  add('minute', 60)
  await ask(now - 60)
  expect(facts).toEqual([])
  await ask(now - 61)
  await ask(now - 61)
  expect(facts).toMatchObject([
    {
      type: 'entry.withheld',
      outcome: 'failure',
      target: `node/${agent.id}`,
      count: 1,
      detail: { entries: ['minute'], spiffe_ids: ['spiffe://example.org/minute'] },
    },
  ])
  add('other', 30)
  await ask(now - 61)
  add('minute', 50, 1)
  await ask(now - 61)
  index.delete('other')
  await ask(now - 61)
  await ask(now - 70)
  expect(facts).toHaveLength(5)
})

it('names some of many', async () => {
  const { add, ask, facts } = setUp()
  for (let number = 0; number < 500; number++) add(`entry-${number}`, 60)
  await ask(now - 61)
  expect(facts[0]?.count).toBe(500)
  expect(facts[0]?.detail?.entries).toHaveLength(20)
})

it('tells it again when it could not be told', async () => {
  const { add, ask, facts, log } = setUp()
  add('minute', 60)
  log.isAway = true
  await expect(ask(now - 61)).rejects.toThrow('away')
  log.isAway = false
  await ask(now - 61)
  expect(facts).toHaveLength(1)
})
