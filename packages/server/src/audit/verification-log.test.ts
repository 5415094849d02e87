import { expect, it } from 'vitest'
import type { AuditFact } from './event.ts'
import { VerificationLog } from './verification-log.ts'

const fact: AuditFact = { type: 'token.introspected', outcome: 'success' }

it('lets a verification go on when nothing can be recorded, and records afterwards how many there were', async () => {
  const recorded: AuditFact[] = []
  let away = true
  const log = new VerificationLog({
    record: async (told) => {
      if (away) throw new Error('the disk is full')
      recorded.push(told)
    },
  })
  for (let index = 0; index < 3; index += 1) await log.record(fact)
  away = false
  await log.record(fact)
  expect(recorded).toMatchObject([fact, { type: 'audit.gap', count: 3 }])
  await log.record(fact)
  expect(recorded).toHaveLength(3)
})

it('waits for the row, but not for long', async () => {
  let durable = false
  const log = new VerificationLog({
    record: () =>
      new Promise((resolve) => {
        setTimeout(() => {
          durable = true
          resolve()
        }, 30)
      }),
  })
  await log.record(fact)
  expect(durable).toBe(true)

  const stuck = new VerificationLog({ record: () => new Promise(() => {}) })
  await stuck.record(fact)
})
