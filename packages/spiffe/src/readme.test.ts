import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'

it('runs the example of the README', () => {
  const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8')
  const [, example] = /```ts\n([\s\S]*?)```/.exec(readme)!
  const options = ['--conditions=source', '--input-type=module-typescript', '--disable-warning=ExperimentalWarning']
  const output = execFileSync(process.execPath, [...options, '--eval', example!], {
    cwd: import.meta.dirname,
    encoding: 'utf8',
  })
  expect(output).toBe('spiffe://example.org/orders\n/orders\ntrue\n')
})
