import { describe, expect, it } from 'vitest'
import { silentLog } from '../agent-log.ts'
import { TestClock } from '../clock.fixture.ts'
import type { AuthorizedEntry } from '../entries/authorized-entry.ts'
import type { IssuanceResult } from './issue-x509-svids.ts'
import { renewalTime } from './renewal.ts'
import { X509SvidCache } from './x509-svid-cache.ts'

describe('renewal', () => {
  it('is due at half of the time that is left, a tenth of it earlier or later', () => {
    const hour = 3_600
    expect(renewalTime(0, hour, () => 0)).toBe(hour * 400)
    expect(renewalTime(0, hour, () => 0.5)).toBe(hour * 500)
    expect(renewalTime(0, hour, () => 0.9999)).toBeCloseTo(hour * 600, -3)
  })

  it('of what has all but expired does not become a storm', () => {
    expect(renewalTime(10_000, 10, () => 0)).toBe(10_500)
    expect(renewalTime(10_000, 5, () => 0)).toBe(10_500)
  })
})

describe('a thousand SVIDs that were issued together', () => {
  it('are renewed spread over a fifth of their life, each once', async () => {
    const clock = new TestClock(0, { sockets: false })
    const asked: { at: number; count: number }[] = []
    const cache = new X509SvidCache({
      issue: async (entries, onIssued) => {
        asked.push({ at: clock.now(), count: entries.length })
        onIssued(entries.map((entry) => issued(entry, clock.now())))
      },
      clock,
      random: Math.random,
      log: silentLog,
      onBack: () => {},
      prefetch: 1_000,
    })
    cache.setEntries(new Map(Array.from({ length: 1_000 }, (_, index) => [`${index}`, entry(`${index}`)])))
    await clock.advance(0)
    expect(asked).toEqual([{ at: 0, count: 1_000 }])
    asked.length = 0
    await clock.advance(2_200_000)
    cache.stop()
    expect(asked.reduce((sum, { count }) => sum + count, 0)).toBe(1_000)
    expect(asked[0]?.at).toBeGreaterThanOrEqual(0.4 * 3_600_000)
    expect(asked.at(-1)?.at).toBeLessThanOrEqual(0.6 * 3_600_000)
    // 720 seconds for a thousand: no second sees a crowd.
    const perSecond = Map.groupBy(asked, ({ at }) => Math.floor(at / 1_000))
    const busiest = Math.max(...[...perSecond.values()].map((all) => all.reduce((sum, { count }) => sum + count, 0)))
    expect(busiest).toBeLessThan(15)
  })

  it('are asked for again when the clock is set back in such a pause', async () => {
    const clock = new TestClock(86_400_000, { sockets: false })
    let setBack = 0
    let asked = 0
    const cache = new X509SvidCache({
      issue: async (entries, onIssued) => {
        asked += 1
        if (asked === 1) throw new Error('away')
        if (asked === 2) return onIssued(entries.map((entry) => ({ entry, problem: 'not now' })))
        onIssued(entries.map((entry) => issued(entry, clock.now() - setBack)))
      },
      clock: { now: () => clock.now() - setBack, after: (delay, callback) => clock.after(delay, callback) },
      random: () => 1,
      log: silentLog,
      onBack: () => {},
      prefetch: 1_000,
    })
    cache.setEntries(new Map([['1', entry('1')]]))
    await clock.advance(0)
    setBack = 3_600_000
    await clock.advance(1_500)
    expect(asked).toBe(2)
    setBack = 7_200_000
    await clock.advance(1_500)
    cache.stop()
    expect(asked).toBe(3)
  })

  it('are asked for again only after a growing pause when the server fails', async () => {
    const clock = new TestClock(0, { sockets: false })
    const asked: number[] = []
    const cache = new X509SvidCache({
      issue: async () => {
        asked.push(clock.now())
        throw new Error('away')
      },
      clock,
      random: () => 1,
      log: silentLog,
      onBack: () => {},
      prefetch: 1_000,
    })
    cache.setEntries(new Map([['1', entry('1')]]))
    await clock.advance(60_000)
    cache.stop()
    expect(asked).toEqual([0, 1_000, 3_000, 7_000, 15_000, 31_000])
  })
})

function entry(id: string): AuthorizedEntry {
  return {
    id,
    spiffeId: `spiffe://example.test/${id}`,
    trustDomain: 'example.test',
    selectors: [{ type: 'unix', value: 'uid:1' }],
    federatesWith: [],
    hint: '',
    createdAt: 0,
    revisionNumber: 0,
    storeSvid: false,
    prefetch: true,
  }
}

function issued(of: AuthorizedEntry, now: number): IssuanceResult {
  const expiresAt = now / 1_000 + 3_600
  return {
    entry: of,
    svid: { entry: of, certificates: [], privateKey: undefined as never, serialNumber: of.id, expiresAt },
  }
}
