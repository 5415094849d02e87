import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'
import { startIssuer } from './issuer.fixture.ts'
import { closing, listening } from './listening.fixture.ts'
import { startSenders } from './service-token/senders.fixture.ts'

it('the example of the README runs', async () => {
  const issuer = await startIssuer()
  const program = (await example(0)).replace('http://localhost:8080/', issuer.issuer)
  await using running = await run(program, 'server')
  const headers = { authorization: `Bearer ${issuer.token()}` }
  const answer = await fetch(running.origin, { headers })
  expect(await answer.text()).toBe('Hello svc-orders, you may read:orders and write:orders\n')
  expect((await fetch(running.origin)).status).toBe(401)
  await issuer.stop()
})

it('the example of service tokens in the README runs', async () => {
  const senders = await startSenders()
  const order = await senders.add('order')
  const environment = { SERVICE_SHORT_NAME: 'inventory', JWKS_URL: senders.template }
  const program = (await example(1)).replace('app.listen', 'const server = app.listen')
  await using running = await run(program, 'server', environment)
  const call = { method: 'POST', target: '/v1/stock', content: '{"quantity":2}' }
  const send = (token: string, content = call.content) =>
    fetch(running.origin + call.target, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-m2m-token': token },
      body: content,
    })
  expect(await (await send(order.forCall(call))).json()).toEqual({ from: 'order-service', decreased: 2 })
  const changed = await send(order.forCall(call), '{"quantity":200}')
  expect(await changed.json()).toMatchObject({ status: 401, code: 'InvalidM2MToken', reason: 'digest' })
  await senders.stop()
})

async function example(index: number): Promise<string> {
  const readme = await readFile(new URL('../README.md', import.meta.url), 'utf8')
  return [...readme.matchAll(/```ts\n([\s\S]*?)```/g)][index]![1]!
}

/** Runs a program that listens on port 3000, on another. @param server the name of its server */
async function run(program: string, server: string, environment: Record<string, string> = {}) {
  const port = await freePort()
  // Inside the package, so that its own name resolves as it does for a user.
  const file = fileURLToPath(new URL(`../readme-example-${process.pid}-${port}.ts`, import.meta.url))
  const text = program.replace('listen(3000)', `listen(${port})`)
  await writeFile(file, `${text}\n${server}.on('listening', () => console.log('ready'))\n`)
  const child: ChildProcess = spawn(
    process.execPath,
    ['--conditions=source', '--disable-warning=ExperimentalWarning', file],
    { env: { ...process.env, ...environment }, stdio: ['ignore', 'pipe', 'inherit'] },
  )
  await once(child.stdout!, 'data')
  return {
    origin: `http://localhost:${port}`,
    async [Symbol.asyncDispose]() {
      child.kill()
      await rm(file)
    },
  }
}

async function freePort(): Promise<string> {
  const server = createServer()
  const { port } = new URL(await listening(server))
  await closing(server)
  return port
}
