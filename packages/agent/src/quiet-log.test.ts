import { expect, it } from 'vitest'
import { quietLog } from './quiet-log.ts'

it('says what a local user causes over and over twenty times a minute, and how often it was left out', () => {
  let now = 0
  const told: object[] = []
  const note = (fields: object, message: string) => told.push({ ...fields, message })
  const log = quietLog({ info: note, warn: note, error: note }, { now: () => now, after: () => () => {} })
  for (let pid = 0; pid < 1_000; pid++) log.warn({ pid }, 'a connection to the agent was refused')
  expect(told).toHaveLength(20)
  log.warn({}, 'another')
  expect(told).toHaveLength(21)
  now = 60_000
  log.warn({ pid: 7 }, 'a connection to the agent was refused')
  log.warn({ pid: 8 }, 'a connection to the agent was refused')
  expect(told.slice(21)).toEqual([
    { pid: 7, left_out: 980, message: 'a connection to the agent was refused' },
    { pid: 8, message: 'a connection to the agent was refused' },
  ])
})
