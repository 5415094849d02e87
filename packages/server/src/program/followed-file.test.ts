import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import { followedFile } from './followed-file.ts'

const folder = mkdtempSync(join(tmpdir(), 'countersign-followed-'))
afterAll(() => rmSync(folder, { recursive: true }))

function read(text: string): string {
  if (text.includes('broken')) throw new Error('it is broken')
  return text
}

function follow(file: string, lookMilliseconds = 0) {
  const said: string[] = []
  const logger = { info: (text: string) => said.push(text), error: (text: string) => said.push(text) }
  return { said, current: followedFile({ setting: 'the.file', file, read, logger: logger as never, lookMilliseconds }) }
}

it('gives what the file holds now, also when another file was moved into its place', () => {
  const file = join(folder, 'moved.pem')
  writeFileSync(file, 'one')
  const { current, said } = follow(file)
  expect(current()).toBe('one')
  writeFileSync(`${file}.new`, 'two')
  renameSync(`${file}.new`, file)
  expect([current(), current()]).toEqual(['two', 'two'])
  expect(said).toEqual([`the.file: ${file} has changed and was read again`])
})

it('keeps what it had while the file cannot be used, says so once, and takes the next good content', () => {
  const file = join(folder, 'broken.pem')
  writeFileSync(file, 'one')
  const { current, said } = follow(file)
  writeFileSync(file, 'broken content')
  expect([current(), current()]).toEqual(['one', 'one'])
  rmSync(file)
  expect([current(), current()]).toEqual(['one', 'one'])
  expect(said).toEqual([
    `the.file: ${file} cannot be used: it is broken; what it held before stays in force`,
    `the.file: ${file} cannot be used: there is no such file; what it held before stays in force`,
  ])
  writeFileSync(file, 'three')
  expect(current()).toBe('three')
})

it('looks at the file only now and then', () => {
  const file = join(folder, 'rarely.pem')
  writeFileSync(file, 'one')
  const { current } = follow(file, 60_000)
  writeFileSync(file, 'another')
  expect(current()).toBe('one')
})

it('refuses a file that is missing or will not do at first, by the name of the setting', () => {
  expect(() => follow(join(folder, 'none'))).toThrow(
    `the.file: ${join(folder, 'none')} cannot be used: there is no such`,
  )
  writeFileSync(join(folder, 'bad'), 'broken')
  expect(() => follow(join(folder, 'bad'))).toThrow('it is broken')
})
