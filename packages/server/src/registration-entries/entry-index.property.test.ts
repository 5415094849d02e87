import fc from 'fast-check'
import { expect, it } from 'vitest'
import { EntryIndex } from './entry-index.ts'
import { newEntry } from './insert-entry.ts'
import { type RegistrationEntry, type Selector, selectorText } from './registration-entry.ts'

const id = (path: string) => `spiffe://example.org${path}`
const server = id('/spire/server')
const agents = ['a', 'b'].map((name) => id(`/spire/agent/x509pop/${name}`))
const names = ['/one', '/two', '/three', '/four'].map(id)
const selector = fc.constantFrom('x', 'y', 'z').map((value): Selector => ({ type: 'x509pop', value }))
const start = 1_000_000

const entry = fc.record({
  id: fc.integer({ min: 0, max: 7 }).map(String),
  spiffeId: fc.constantFrom(...names),
  parentId: fc.constantFrom(server, ...agents, ...names),
  selectors: fc.uniqueArray(selector, { minLength: 1, selector: selectorText }),
  expiresAt: fc.option(fc.integer({ min: start, max: start + 20 }), { nil: undefined }),
  policy: fc.option(
    fc.record(
      { notRoot: fc.boolean(), nodeAttestedWithinSeconds: fc.integer({ min: 1, max: 20 }) },
      { requiredKeys: [] },
    ),
    { nil: undefined },
  ),
})
const question = fc.record({
  agent: fc.record({ id: fc.constantFrom(...agents), selectors: fc.uniqueArray(selector, { selector: selectorText }) }),
  options: fc.record({
    workloadPolicies: fc.boolean(),
    attestedAt: fc.integer({ min: start - 20, max: start }),
    now: fc.integer({ min: start, max: start + 20 }),
  }),
})
const step = fc.oneof(
  entry.map((value) => ({ set: value })),
  fc.integer({ min: 0, max: 7 }).map((value) => ({ delete: String(value) })),
  question.map((ask) => ({ ask })),
)

type Question = typeof question extends fc.Arbitrary<infer T> ? T : never

it('says after any changes what going through all entries says, from memory or not', () => {
  fc.assert(
    fc.property(
      fc.array(step, { maxLength: 60 }),
      fc.array(question, { minLength: 1, maxLength: 4 }),
      (steps, asked) => {
        const index = new EntryIndex('example.org')
        const model = new Map<string, RegistrationEntry>()
        const compare = ({ agent, options }: Question) => {
          const expected = authorized([...model.values()], agent, options)
          const ids = index.authorizedEntries(agent, options).map((each) => each.id)
          expect(ids.toSorted()).toEqual(expected)
          for (const key of model.keys()) {
            expect(index.authorizedEntry(agent, key, options) !== undefined).toBe(expected.includes(key))
          }
          const fresher = { ...options, attestedAt: options.now }
          const withheld = authorized([...model.values()], agent, fresher)
          for (const { id: key } of index.withheldEntries(agent, options)) {
            expect(expected).not.toContain(key)
            expect(withheld).toContain(key)
          }
        }
        let revision = 0
        for (const each of steps) {
          if ('set' in each) {
            revision += 1
            const whole = { ...newEntry(each.set), ...each.set, revisionNumber: revision, createdAt: 0, updatedAt: 0 }
            model.set(whole.id, whole as RegistrationEntry)
            index.set(whole as RegistrationEntry)
          } else if ('delete' in each) {
            model.delete(each.delete)
            index.delete(each.delete)
          } else compare(each.ask)
          for (const question of asked) compare(question)
        }
      },
    ),
    { numRuns: 300 },
  )
})

/** By the words of the rule, without anything remembered. */
function authorized(entries: readonly RegistrationEntry[], agent: Question['agent'], options: Question['options']) {
  const isOpen = ({ expiresAt, policy }: RegistrationEntry) =>
    (expiresAt === undefined || expiresAt > options.now) &&
    (!policy?.notRoot || options.workloadPolicies) &&
    options.now - options.attestedAt <= (policy?.nodeAttestedWithinSeconds ?? Number.POSITIVE_INFINITY)
  const open = entries.filter(isOpen)
  const has = agent.selectors.map(selectorText)
  const aliases = open.filter(
    ({ parentId, selectors }) => parentId === server && selectors.every((each) => has.includes(selectorText(each))),
  )
  const reached = new Set([agent.id, ...aliases.map(({ spiffeId }) => spiffeId)])
  for (let size = 0; size < reached.size; ) {
    size = reached.size
    for (const { parentId, spiffeId } of open) if (reached.has(parentId)) reached.add(spiffeId)
  }
  return open
    .filter(({ parentId }) => reached.has(parentId))
    .map((each) => each.id)
    .sort()
}
