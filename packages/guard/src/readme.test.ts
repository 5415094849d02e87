import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'
import { startIssuer } from './issuer.fixture.ts'
import { closing, listening } from './listening.fixture.ts'

it('the example of the README runs', async () => {
  const issuer = await startIssuer()
  const readme = await readFile(new URL('../README.md', import.meta.url), 'utf8')
  const [, example] = /```ts\n([\s\S]*?)```/.exec(readme)!
  const port = await freePort()
  const program = example!.replace('http://localhost:8080/', issuer.issuer).replace('listen(3000)', `listen(${port})`)
  // Inside the package, so that its own name resolves as it does for a user.
  const file = fileURLToPath(new URL(`../readme-example-${process.pid}.ts`, import.meta.url))
  await writeFile(file, `${program}\nserver.on('listening', () => console.log('ready'))\n`)
  const child = spawn(process.execPath, ['--conditions=source', '--disable-warning=ExperimentalWarning', file])
  try {
    await once(child.stdout, 'data')
    const headers = { authorization: `Bearer ${issuer.token()}` }
    const answer = await fetch(`http://localhost:${port}/`, { headers })
    expect(await answer.text()).toBe('Hello svc-orders, you may read:orders and write:orders\n')
    expect((await fetch(`http://localhost:${port}/`)).status).toBe(401)
  } finally {
    child.kill()
    await rm(file)
    await issuer.stop()
  }
})

async function freePort(): Promise<string> {
  const server = createServer()
  const { port } = new URL(await listening(server))
  await closing(server)
  return port
}
