import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { openDataDirectory } from './data-directory.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'countersign-data-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

it('makes its key and secrets once, for their owner alone', async () => {
  const first = await openDataDirectory(folder)
  expect(await openDataDirectory(folder)).toEqual(first)
  expect(readdirSync(folder).sort()).toEqual(['admin.secret', 'demo-api.secret', 'demo.secret', 'master.key'])
  for (const name of readdirSync(folder)) expect(statSync(join(folder, name)).mode & 0o777).toBe(0o600)
})

it.each([
  ['an empty key, as an older full disk left it', 'master.key', ''],
  ['a key that is none', 'master.key', 'garbage'],
  ['an empty secret', 'admin.secret', ''],
  ['a secret of which an end is missing', 'demo.secret', 'cs_secret_3I7qicSYzmz4iqH4WuzBYDrDRUA1PA9AsiYhpMaesKH3ZSP'],
])('names the file and the cure of %s', async (_what, name, text) => {
  await openDataDirectory(folder)
  writeFileSync(join(folder, name), text)
  await expect(openDataDirectory(folder)).rejects.toThrow(`${join(folder, name)} is damaged`)
})

it('names a key that cannot be read', async () => {
  mkdirSync(join(folder, 'master.key'))
  await expect(openDataDirectory(folder)).rejects.toThrow(`${join(folder, 'master.key')} cannot be used (EISDIR)`)
})
