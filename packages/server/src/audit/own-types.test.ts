import { readdirSync, readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { isOwnType } from './own-types.ts'

const source = new URL('../', import.meta.url)

function typesWritten(): string[] {
  const files = readdirSync(source, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts') && !/\.(test|fixture)\.ts$/.test(file))
    .map((file) => readFileSync(new URL(file, source), 'utf8'))
  return files.flatMap((text) => [
    ...[...text.matchAll(/\btype: (?:[\w.]+ \? )?'([a-z_]+\.[a-z_]+)'(?: : '([a-z_]+\.[a-z_]+)')?/g)].flatMap(
      ([, ...types]) => types.filter((type) => type !== undefined),
    ),
    ...[...text.matchAll(/'([a-z_]+\.refused)'/g)].map(([, type]) => type as string),
  ])
}

it('knows the noun of every event that the server writes, so that none can be reported by another', () => {
  const types = new Set(typesWritten())
  expect(types.size).toBeGreaterThan(20)
  expect([...types].filter((type) => !isOwnType(type))).toEqual([])
})
