import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'

it('runs the examples of the README', () => {
  const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8')
  const examples = [...readme.matchAll(/```ts\n([\s\S]*?)```/g)].map(([, example]) => example as string)
  const options = ['--conditions=source', '--input-type=module-typescript', '--disable-warning=ExperimentalWarning']
  const outputs = examples.map((example) =>
    execFileSync(process.execPath, [...options, '--eval', example], { cwd: import.meta.dirname, encoding: 'utf8' }),
  )
  expect(outputs).toEqual(['svc-orders read:stock\n', 'order order-service\n'])
})
