import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { createTestAuthority, type FakeWorkloadApi, startFakeWorkloadApi } from '@countersign/spiffe/testing'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { freePort } from '../../server/src/free-port.fixture.ts'

const page = readFileSync(new URL('../../../docs/workload-api.md', import.meta.url), 'utf8')
const authority = createTestAuthority('shop.example')
const running: ChildProcess[] = []
let folder: string
let inventory: FakeWorkloadApi
let order: FakeWorkloadApi

beforeAll(async () => {
  // Inside of the package, where what the programs import is found.
  folder = mkdtempSync(join(import.meta.dirname, 'docs-'))
  inventory = await startFakeWorkloadApi(authority, { svids: [authority.x509Svid('/inventory')] })
  order = await startFakeWorkloadApi(authority, { svids: [authority.x509Svid('/order')] })
})

afterEach(() => {
  for (const child of running.splice(0)) child.kill()
})

afterAll(async () => {
  rmSync(folder, { recursive: true })
  await inventory.close()
  await order.close()
})

describe('docs/workload-api.md', () => {
  it('has a program that says who it is', async () => {
    expect(await run('whoami.ts', inventory)).toMatch(/^spiffe:\/\/shop\.example\/inventory, until 20\S+Z\n$/)
  })

  it.each([
    ['inventory.ts', 'order.ts', '200 3 left, spiffe://shop.example/order\n\n'],
    ['inventory.ts', 'order-agent.ts', '200 3 left, spiffe://shop.example/order\n\n'],
    ['inventory.ts', 'order-tls.ts', 'talking to spiffe://shop.example/inventory\n'],
    ['inventory-fastify.ts', 'order.ts', '200 3 left, spiffe://shop.example/order\n\n'],
    ['inventory-grpc.ts', 'order-grpc.ts', '{ status: 1 }\n'],
  ])('has a server %s that %s talks to', async (server, client, output) => {
    const port = await freePort()
    await start(server, port)
    expect(await run(client, order, port)).toBe(output)
  })

  it('has a server that lets nobody else in', async () => {
    const port = await freePort()
    await start('inventory.ts', port)
    expect(await run('order.ts', inventory, port)).not.toContain('200')
  })

  it('has a program that makes and verifies a JWT-SVID', async () => {
    expect(await run('order-jwt.ts', order)).toBe('spiffe://shop.example/order\n')
  })

  it('has a test', async () => {
    expect(await run('order.test.ts', order)).toBe('spiffe://shop.example/order\n')
  })
})

/** A server from the page, when it listens. */
async function start(name: string, port: number): Promise<void> {
  const child = launch(name, inventory, port)
  for await (const chunk of child.stdout!) if (`${chunk}`.includes('listening')) return
  throw new Error(`${name} ended before it listened`)
}

/** What a program from the page prints until it ends. */
function run(name: string, agent: FakeWorkloadApi, port = 0): Promise<string> {
  return text(launch(name, agent, port).stdout!)
}

function launch(name: string, agent: FakeWorkloadApi, port: number): ChildProcess {
  const [, program] = new RegExp(`\`\`\`ts\\n// ${name.replaceAll('.', '\\.')}\\n([\\s\\S]*?)\`\`\``).exec(page)!
  const file = join(folder, name)
  writeFileSync(file, program!.replaceAll(/944[34]/g, String(port)))
  const child = spawn(process.execPath, ['--conditions=source', '--disable-warning=ExperimentalWarning', file], {
    env: { PATH: process.env.PATH, SPIFFE_ENDPOINT_SOCKET: agent.socket },
    stdio: ['ignore', 'pipe', name === 'order.ts' ? 'ignore' : 'inherit'],
  })
  running.push(child)
  return child
}
