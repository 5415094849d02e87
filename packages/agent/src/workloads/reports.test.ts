import { expect, it } from 'vitest'
import { silentLog } from '../agent-log.ts'
import type { ServerConnection } from '../server-connection/server-connection.ts'
import { Reports } from './reports.ts'

it('tells the server of at most three hundred failed policies a minute, however many processes fail them', async () => {
  let now = 0
  let told = 0
  const connection = {
    async call(_method: unknown, { workloads }: { workloads: readonly unknown[] }) {
      told += workloads.length
      return {}
    },
  } as unknown as ServerConnection
  const clock = { now: () => now, after: () => () => {} }
  const reports = new Reports({ connection: () => connection, clock, random: () => 0.5, log: silentLog })
  const failing = async (count: number) => {
    for (let pid = 0; pid < count; pid++) {
      const workload = {
        entryId: 'e',
        spiffeId: 'spiffe://a/b',
        pid,
        uid: 7,
        selectors: [],
        failures: ['it runs as root'],
      }
      reports.refused(workload, `${pid} ${now}`)
      if (pid % 50 === 49) await reports.flush()
    }
  }
  await failing(1_000)
  expect(told).toBe(300)
  now += 60_000
  await failing(100)
  expect(told).toBe(400)
})
