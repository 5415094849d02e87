import { beforeEach, describe, expect, it } from 'vitest'
import { EntryIndex } from './entry-index.ts'
import type { RegistrationEntry } from './registration-entry.ts'

const id = (path: string) => `spiffe://example.org${path}`
const server = id('/spire/server')
const one = { id: id('/spire/agent/x509pop/one'), selectors: [{ type: 'x509pop', value: 'subject:cn:one' }] }
const other = { id: id('/spire/agent/x509pop/other'), selectors: [{ type: 'x509pop', value: 'subject:cn:other' }] }
const now = 1_000_000

let index: EntryIndex
beforeEach(() => {
  index = new EntryIndex('example.org')
})

function add(name: string, parentId: string, members: Partial<RegistrationEntry> = {}): RegistrationEntry {
  const entry: RegistrationEntry = {
    id: name,
    spiffeId: id(`/${name}`),
    parentId,
    selectors: [{ type: 'unix', value: 'uid:1000' }],
    x509SvidTtlSeconds: 0,
    jwtSvidTtlSeconds: 0,
    dnsNames: [],
    hint: '',
    federatesWith: [],
    admin: false,
    downstream: false,
    storeSvid: false,
    revisionNumber: 0,
    createdAt: 0,
    updatedAt: 0,
    ...members,
  }
  index.set(entry)
  return entry
}

function alias(name: string, ...values: string[]): string {
  const selectors = values.map((value) => ({ type: 'x509pop', value }))
  return add(name, server, { selectors }).spiffeId
}

const asks = { workloadPolicies: true, attestedAt: now, now }
function idsFor(agent: typeof one, options: Partial<typeof asks> = {}): string[] {
  const whole = { ...asks, ...options }
  const ids = index.authorizedEntries(agent, whole).map((entry) => entry.id)
  expect(new Set(ids).size).toBe(ids.length)
  // Two ways to ask the same must never differ: one lists, the other guards every issuance.
  for (const entry of index.entries()) {
    expect(index.authorizedEntry(agent, entry.id, whole) === entry, entry.id).toBe(ids.includes(entry.id))
  }
  return ids.sort()
}

describe('an agent gets', () => {
  it('nothing where there is no entry', () => {
    expect(idsFor(one)).toEqual([])
  })

  it('the entries below its own ID, and not those of another agent', () => {
    add('web', one.id)
    add('db', other.id)
    expect(idsFor(one)).toEqual(['web'])
    expect(index.authorizedEntry(one, 'db', asks)).toBeUndefined()
    expect(index.authorizedEntry(one, 'unknown', asks)).toBeUndefined()
  })

  it('what is below it and below its aliases as that is now, asked again and again', () => {
    const shared = alias('shared', 'subject:cn:one')
    add('web', one.id)
    add('db', shared)
    expect([idsFor(one), idsFor(one)]).toEqual([
      ['db', 'web'],
      ['db', 'web'],
    ])
    add('cache', shared)
    expect(idsFor(one)).toEqual(['cache', 'db', 'web'])
    index.delete('db')
    expect(idsFor(one)).toEqual(['cache', 'web'])
    add('web', other.id)
    add('batch', one.id)
    expect(idsFor(one)).toEqual(['batch', 'cache'])
  })

  it('the entries below those, however deep', () => {
    let parent = one.id
    for (let depth = 0; depth < 20_000; depth++) parent = add(`deep-${depth}`, parent).spiffeId
    expect(index.authorizedEntries(one, asks)).toHaveLength(20_000)
    expect(index.authorizedEntries(other, asks)).toEqual([])
  })

  it('the entries below an alias whose selectors its node has, all of them', () => {
    const rack = alias('rack', 'subject:cn:one', 'ca:fingerprint:aa')
    add('web', rack)
    expect(idsFor(one)).toEqual([])
    const selectors = [...one.selectors, { type: 'x509pop', value: 'ca:fingerprint:aa' }]
    expect(idsFor({ ...one, selectors })).toEqual(['web'])
    expect(idsFor({ ...other, selectors: selectors.slice(1) })).toEqual([])
  })

  it('never the alias itself, which stands for nodes', () => {
    const rack = alias('rack', 'subject:cn:one')
    add('web', rack)
    expect(index.authorizedEntry(one, 'rack', asks)).toBeUndefined()
  })

  it('nothing by an alias whose selector only begins like its own, or is of another type', () => {
    add('web', alias('rack', 'subject:cn:on'))
    add('db', add('typed', server, { selectors: [{ type: 'unix', value: 'subject:cn:one' }] }).spiffeId)
    expect(idsFor(one)).toEqual([])
  })

  it('nothing by an alias without selectors, should there ever be one', () => {
    add('web', alias('everybody'))
    expect(idsFor(one)).toEqual([])
  })

  it('an entry once, however many ways lead to it', () => {
    const rack = alias('rack', 'subject:cn:one')
    alias('rack-2', 'subject:cn:one')
    index.set({ ...(index.get('rack-2') as RegistrationEntry), spiffeId: rack })
    add('row', one.id, { spiffeId: rack })
    add('web', rack)
    const floor = alias('floor', 'subject:cn:one')
    add('lamp', floor)
    expect(idsFor(one)).toEqual(['lamp', 'row', 'web'])
  })

  it('an end to entries that are each other’s parents', () => {
    add('egg', id('/hen'))
    add('hen', id('/egg'))
    add('self', id('/self'))
    expect(idsFor(one)).toEqual([])
    add('basket', one.id, { spiffeId: id('/hen') })
    expect(idsFor(one)).toEqual(['basket', 'egg', 'hen'])
    add('mirror', one.id, { spiffeId: id('/self') })
    expect(idsFor(one)).toEqual(['basket', 'egg', 'hen', 'mirror', 'self'])
  })

  it('no entry of another agent by having that agent’s ID as a parent of its own entries', () => {
    add('db', other.id)
    add('web', one.id)
    expect(idsFor({ ...one, selectors: [{ type: 'spiffe_id', value: other.id }] })).toEqual(['web'])
  })
})

describe('no entry is taken in', () => {
  it.each([other.id, server, id('/spire/agent'), 'spiffe://other.example/web', id('')])(
    'that would make a workload %s, even if the store has it',
    (spiffeId) => {
      add('good', other.id)
      add('evil', one.id, { spiffeId })
      expect(idsFor(one)).toEqual([])
      expect(index.get('evil')).toBeUndefined()
      const web = add('web', one.id)
      index.set({ ...web, spiffeId })
      expect(idsFor(one)).toEqual([])
    },
  )
})

describe('a change is seen', () => {
  it('at once, when an entry comes, moves, or goes', () => {
    const web = add('web', one.id)
    expect(idsFor(one)).toEqual(['web'])
    index.set({ ...web, parentId: other.id, revisionNumber: 1 })
    expect(idsFor(one)).toEqual([])
    expect(idsFor(other)).toEqual(['web'])
    index.delete('web')
    expect(idsFor(other)).toEqual([])
  })

  it('below an ID that had nothing below it before', () => {
    const web = add('web', one.id)
    expect(idsFor(one)).toEqual(['web'])
    add('child', web.spiffeId)
    expect(idsFor(one)).toEqual(['child', 'web'])
    index.set({ ...web, spiffeId: id('/web-2') })
    expect(idsFor(one)).toEqual(['web'])
  })

  it('when an entry becomes an alias and is one no more', () => {
    const entry = add('rack', one.id, { selectors: one.selectors })
    add('web', entry.spiffeId)
    expect(idsFor(one)).toEqual(['rack', 'web'])
    index.set({ ...entry, parentId: server })
    expect(idsFor(one)).toEqual(['web'])
    index.delete('rack')
    expect(idsFor(one)).toEqual([])
  })

  it('by the revision, and by nobody whom it does not concern', () => {
    add('web', one.id)
    add('db', other.id)
    const before = index.authorizedEntries(one, asks)
    const { revision } = index
    add('db-2', other.id)
    expect(index.revision).toBe(revision + 1)
    expect(index.authorizedEntries(one, asks)).toBe(before)
    index.delete('unknown')
    expect(index.revision).toBe(revision + 1)
  })
})

describe('an entry is left out', () => {
  it('when it has expired, with what only hangs on it', () => {
    const web = add('web', one.id, { expiresAt: now + 10 })
    add('child', web.spiffeId)
    expect(idsFor(one)).toEqual(['child', 'web'])
    expect(idsFor(one, { now: now + 9 })).toEqual(['child', 'web'])
    expect(idsFor(one, { now: now + 10 })).toEqual([])
    add('spare', one.id, { spiffeId: web.spiffeId })
    expect(idsFor(one, { now: now + 10 })).toEqual(['child', 'spare'])
  })

  it('when the alias through which it comes has expired', () => {
    const rack = alias('rack', 'subject:cn:one')
    index.set({ ...(index.get('rack') as RegistrationEntry), expiresAt: now + 10 })
    add('web', rack)
    expect(idsFor(one)).toEqual(['web'])
    expect(idsFor(one, { now: now + 10 })).toEqual([])
  })

  it('when its policy is about the workload and the agent does not enforce such', () => {
    add('approved', one.id, { policy: { binarySha256: ['ab'.repeat(32)] } })
    add('user', one.id, { policy: { notRoot: true } })
    add('nothing', one.id, { policy: { notRoot: false } })
    expect(idsFor(one)).toEqual(['approved', 'nothing', 'user'])
    expect(idsFor(one, { workloadPolicies: false })).toEqual(['nothing'])
  })

  it('when the node attested itself too long ago', () => {
    add('any', one.id)
    add('hour', one.id, { policy: { nodeAttestedWithinSeconds: 3600 } })
    const minute = add('minute', one.id, { policy: { nodeAttestedWithinSeconds: 60 } })
    add('child', minute.spiffeId)
    const aged = (seconds: number) => idsFor(one, { attestedAt: now - seconds })
    expect(aged(0)).toEqual(['any', 'child', 'hour', 'minute'])
    expect(aged(60)).toEqual(['any', 'child', 'hour', 'minute'])
    expect(aged(61)).toEqual(['any', 'hour'])
    expect(aged(3601)).toEqual(['any'])
    const withheld = (seconds: number, agent = one) =>
      index.withheldEntries(agent, { ...asks, attestedAt: now - seconds }).map((entry) => entry.id)
    expect(withheld(60)).toEqual([])
    expect(withheld(61)).toEqual(['minute'])
    expect(withheld(3601)).toEqual(['hour', 'minute'])
    expect(withheld(3601, other)).toEqual([])
    index.delete('hour')
    expect(aged(61)).toEqual(['any'])
    index.set({ ...minute, policy: { nodeAttestedWithinSeconds: 90 } })
    expect(aged(61)).toEqual(['any', 'child', 'minute'])
  })

  it('for one agent alone, where they share the rest', () => {
    const selectors = [{ type: 'x509pop', value: 'ca:fingerprint:aa' }]
    const all = alias('all', 'ca:fingerprint:aa')
    add('web', all)
    add('fresh', all, { policy: { nodeAttestedWithinSeconds: 60 } })
    expect(idsFor({ ...one, selectors })).toEqual(['fresh', 'web'])
    expect(idsFor({ ...other, selectors }, { attestedAt: now - 61 })).toEqual(['web'])
    expect(idsFor({ ...one, selectors })).toEqual(['fresh', 'web'])
  })
})
