import { execFile } from 'node:child_process'
import { copyFileSync, linkSync, mkdirSync, realpathSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { Program } from '../shop/program.ts'
import type { Authority } from './authority.ts'

export interface Shop {
  readonly order: Program
  readonly inventory: Program
  /** Of inventory */
  readonly url: string
  /** Who is recognised by which program file */
  readonly entries: readonly { readonly name: string; readonly path: string }[]
  /** What a program without an entry is told. */
  askAsStranger(): Promise<string>
  stop(): Promise<void>
}

/** Registers both services and starts them, each from a program file of its own, by which the agent recognises it. */
export async function startShop(folder: string, authority: Authority): Promise<Shop> {
  const { issuer, node, socket, countersign } = authority
  const entries = ['order', 'inventory'].map((name) => ({ name, path: programFile(folder, name) }))
  for (const { name, path } of entries) {
    await countersign(
      ...['workload', 'create', '--spiffe-id', `spiffe://shop.example/${name}`, '--parent-id', node],
      ...['--selector', `unix:uid:${process.getuid!()}`, '--selector', `unix:path:${path}`, '--ttl', '20s'],
    )
  }
  await letFollowRevocations(authority)
  await authority.agentKnows(entries.length)
  const start = (name: string, environment: Record<string, string>) =>
    new Program(
      name,
      new URL(`${name}/main.ts`, import.meta.url).pathname,
      [],
      { SPIFFE_ENDPOINT_SOCKET: socket, ISSUER: issuer, ...environment },
      entries.find((entry) => entry.name === name)!.path,
    )
  const inventory = start('inventory', {})
  const { port } = await inventory.line(({ msg }) => msg === 'listening')
  const url = `https://127.0.0.1:${port}`
  const order = start('order', { INVENTORY: url })
  await order.line(({ msg }) => msg === 'calls')
  return {
    order,
    inventory,
    url,
    entries,
    async askAsStranger() {
      const main = new URL('../../packages/cli/src/main.ts', import.meta.url).pathname
      const words = [...process.execArgv, main, 'svid', 'fetch', 'x509', '--socket', socket]
      const { stderr } = await promisify(execFile)(process.execPath, words).catch((error) => error)
      return stderr.trim()
    },
    async stop() {
      await Promise.all([order.stop(), inventory.stop()])
    },
  }
}

/** inventory is a client too, known by its SPIFFE ID: so it may read which identities have ended. */
async function letFollowRevocations({ issuer, countersign }: Authority): Promise<void> {
  const audience = `${issuer}oauth/revocations`
  await countersign('client', 'create', '--id', 'inventory', '--spiffe-id', 'spiffe://shop.example/inventory')
  await countersign('api', 'create', '--audience', audience, '--introspector', 'inventory')
  await countersign('client', 'grant', 'inventory', '--api', audience)
}

/** Node under a name of its own: in production this would be the service's own binary. */
function programFile(folder: string, name: string): string {
  mkdirSync(join(folder, 'bin'), { recursive: true })
  const file = join(realpathSync(folder), 'bin', name)
  try {
    linkSync(realpathSync(process.execPath), file)
  } catch {
    copyFileSync(process.execPath, file)
  }
  return file
}
