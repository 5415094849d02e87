import { writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { createClient } from '@countersign/client'
import { generateSigningKey } from '@countersign/tokens'
import { ownFolder } from './own-folder.ts'
import { Program } from './program.ts'

/** The shop as it runs: an authority that publishes the services' keys, and the services, each a process. */
export interface Shop {
  readonly order: Program
  readonly inventory: Program
  readonly notification: Program
  /** Base URLs by short name; `inventory:grpc` is host and port. */
  readonly at: Readonly<Record<'order' | 'inventory' | 'notification' | 'inventory:grpc', string>>
  /** The private keys of services that are registered, as PEM, by short name. */
  readonly keys: Readonly<Record<string, string>>
  stop(): Promise<void>
}

/** Those with a program here, one that only calls, and one that nobody allows anything. */
const registered = ['order', 'inventory', 'notification', 'payment', 'billing']

export async function startShop(brokers: string): Promise<Shop> {
  const folder = ownFolder('countersign-shop-')
  const port = await freePort()
  const words = ['dev', '--json', '--port', String(port), '--data-dir', join(folder, 'authority')]
  const authority = new Program('countersign', fileOf('../../packages/cli/src/main.ts'), words, {})
  const programs = [authority]
  try {
    const { issuer, admin } = (await authority.line((line) => 'issuer' in line)) as unknown as Playground
    const keys = await registerServices(issuer, admin)
    const at = {
      order: `http://127.0.0.1:${await freePort()}`,
      inventory: `http://127.0.0.1:${await freePort()}`,
      notification: `http://127.0.0.1:${await freePort()}`,
      'inventory:grpc': `127.0.0.1:${await freePort()}`,
    }
    const [order, inventory, notification] = (['order', 'inventory', 'notification'] as const).map((name) => {
      const file = join(folder, `${name}.pem`)
      writeFileSync(file, keys[name]!, { mode: 0o600 })
      const program = new Program(name, fileOf(`${name}/main.ts`), [], {
        SERVICE_SHORT_NAME: name,
        SERVICE_SECRET_KEY_FILE: file,
        SERVICE_ENV: 'production',
        JWKS_URL: `${issuer}$service/.well-known/jwks.json`,
        SERVICE_URLS: `order=${at.order},inventory=${at.inventory},notification=${at.notification}`,
        HTTP_HOST: '127.0.0.1',
        HTTP_PORT: new URL(at[name]).port,
        GRPC_PORT: at['inventory:grpc'].split(':')[1]!,
        KAFKA_BROKERS: brokers,
      })
      programs.push(program)
      return program
    }) as [Program, Program, Program]
    await Promise.all(
      [order, inventory, notification].map((program) => isReady(program, at[program.name as keyof typeof at])),
    )
    return { order, inventory, notification, at, keys, stop }
  } catch (error) {
    await stop()
    throw error
  }

  async function stop(): Promise<void> {
    await Promise.all(programs.map((program) => program.stop()))
  }
}

interface Playground {
  readonly issuer: string
  readonly admin: { readonly client_id: string; readonly client_secret: string }
}

/** What `countersign service keygen` and `countersign service register` do. */
async function registerServices(issuer: string, admin: Playground['admin']): Promise<Record<string, string>> {
  const { client_id: clientId, client_secret: clientSecret } = admin
  const client = createClient({ issuer, clientId, clientSecret, audience: 'urn:countersign:admin', origins: [issuer] })
  const keys: Record<string, string> = {}
  for (const name of registered) {
    const { privateKey, publicJwk } = await generateSigningKey('EdDSA')
    keys[name] = privateKey.export({ format: 'pem', type: 'pkcs8' }) as string
    const answer = await client.fetch(`${issuer}api/v1/services/${name}`, {
      method: 'PUT',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ jwk: publicJwk }),
    })
    if (!answer.ok) throw new Error(`${name} could not be registered: ${await answer.text()}`)
  }
  return keys
}

async function isReady(program: Program, url: string): Promise<void> {
  for (const deadline = Date.now() + 30_000; ; await setTimeout(50)) {
    const answer = await fetch(`${url}/readyz`).catch(() => undefined)
    if (answer?.ok) return
    if (program.hasEnded) throw new Error(`${program.name} did not start; why, it said above`)
    if (Date.now() > deadline) {
      const said = (await answer?.text()) ?? 'it does not answer'
      throw new Error(`${program.name} is not ready after 30 seconds: ${said}`)
    }
  }
}

function fileOf(path: string): string {
  return new URL(path, import.meta.url).pathname
}

function freePort(): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>()
  const server = createServer()
  server.on('error', reject)
  server.listen(0, '127.0.0.1', () => {
    const { port } = server.address() as { port: number }
    server.close(() => resolve(port))
  })
  return promise
}
