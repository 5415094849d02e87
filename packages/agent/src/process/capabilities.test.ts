import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { testFolder } from '../agent.fixture.ts'
import { mayLookAtPrograms } from './capabilities.ts'

it.each([
  ['0000000000000000', false],
  ['0000000000080000', true],
  ['000001fffff7ffff', false],
  ['000001ffffffffff', true],
])('an agent with the effective capabilities %s may look at programs of other users: %s', (effective, expected) => {
  const file = join(testFolder(), 'status')
  writeFileSync(file, `Name:\tCapEff: node\nCapPrm:\t000001ffffffffff\nCapEff:\t${effective}\n`)
  expect(mayLookAtPrograms(file)).toBe(expected)
})
