import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile, rm, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'

it('the example of the README runs', async () => {
  const readme = await readFile(new URL('../README.md', import.meta.url), 'utf8')
  const [, program] = /```ts\n([\s\S]*?)```/.exec(readme)!
  // Inside the package, so that its own name resolves as it does for a user.
  const file = fileURLToPath(new URL(`../readme-example-${process.pid}.ts`, import.meta.url))
  await writeFile(file, `${program}\nconsole.log('READY ' + service.url)\n`)
  const child = spawn(process.execPath, ['--conditions=source', '--disable-warning=ExperimentalWarning', file], {
    env: { ...process.env, SERVICE_SHORT_NAME: 'inventory', HTTP_PORT: '0' },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  try {
    const url = await readyUrl(child)
    const [, path, body] = /curl -X POST localhost:3000(\S+) .* -d '(.*)'/.exec(readme)!
    const headers = { 'content-type': 'application/json' }
    const answer = await fetch(`${url}${path}`, { method: 'POST', headers, body })
    expect(answer.status).toBe(200)
    expect(await answer.json()).toEqual({ productId: 'p-1', left: 7 })
    const wrong = await fetch(`${url}${path}`, { method: 'POST', headers, body: '{"quantity": 0}' })
    expect(wrong.status).toBe(422)
  } finally {
    child.kill()
    await once(child, 'exit')
    await rm(file)
  }
})

async function readyUrl({ stdout }: ChildProcess): Promise<string> {
  let output = ''
  for await (const chunk of stdout!.iterator({ destroyOnReturn: false })) {
    output += chunk
    const ready = /^READY (\S+)$/m.exec(output)
    if (ready) return ready[1]!
  }
  throw new Error(`the program ended: ${output}`)
}
