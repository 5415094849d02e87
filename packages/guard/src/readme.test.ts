import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile, rm, writeFile } from 'node:fs/promises'
import { get } from 'node:https'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { createTestAuthority } from '@countersign/spiffe/testing'
import { expect, it } from 'vitest'
import { freePort } from '../../server/src/free-port.fixture.ts'
import { startIssuer } from './issuer.fixture.ts'
import { credentialOf, plainCredential } from './mtls/tls-calls.fixture.ts'
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
  const program = (await example(2)).replace('app.listen', 'const server = app.listen')
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

it('the example of certificates in the README runs', async () => {
  const authority = createTestAuthority('shop.example')
  const serving = plainCredential(authority, { dnsNames: ['localhost'] })
  const file = fileURLToPath(new URL(`../readme-certificates-${process.pid}.ts`, import.meta.url))
  await writeFile(file, (await example(1)).replace('listen(3000)', 'listen(0)'))
  try {
    const { startStock } = await import(file)
    const server = startStock(new Map([['shop.example', authority.bundle]]), serving)
    await once(server, 'listening')
    const ask = (path: string) => callText(server.address().port, credentialOf(authority.x509Svid(path)))
    expect(await ask('/orders')).toBe('Hello spiffe://shop.example/orders\n')
    expect(await ask('/billing')).toContain('caller_not_allowed')
    server.close()
  } finally {
    await rm(file)
  }
})

function callText(port: number, credential: object): Promise<string> {
  return new Promise((resolve, reject) => {
    const options = { port, host: '127.0.0.1', agent: false, rejectUnauthorized: false, ...credential }
    get(options, (response) => void text(response).then(resolve, reject)).on('error', reject)
  })
}

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
