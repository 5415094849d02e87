import { generateKeyPairSync } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type AnyJson, createWorld, listen, type World } from './world.fixture.ts'

const m2m = { loginRequired: false, M2MAllowed: true }
const api = (name: string, authOptions: object) => ({ businessApis: [{ name, authOptions }] })

let world: World
beforeAll(async () => {
  world = await createWorld()
})
afterAll(() => world[Symbol.asyncDispose]())

describe('a new key', () => {
  it('signs at once, and the old one stays published as long as its tokens live', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'kit-'))
    const file = join(folder, 'key.pem')
    const newKey = () => generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
    writeFileSync(file, newKey())
    const kids: AnyJson[] = []
    const keys = createServer(async (_request, response) => {
      const published = await fetch(`${order.url}/.well-known/jwks.json`)
      response.writeHead(200, { 'content-type': 'application/json' }).end(await published.text())
    })
    const port = await listen(keys)
    await world.start('pinged', api('ping', m2m), {
      handlers: { ping: (_input, { caller }) => void kids.push(caller?.credentialId) },
      environment: { JWKS_URL: `http://127.0.0.1:${port}/$service/jwks.json` },
    })
    const order = await world.start(
      'rotating',
      { actions: { interserviceCallActions: [{ name: 'ping', targetService: 'pinged', targetApi: 'ping' }] } },
      { environment: { SERVICE_SECRET_KEY: '', SERVICE_SECRET_KEY_FILE: file } },
    )
    const published = async () => ((await (await fetch(`${order.url}/.well-known/jwks.json`)).json()) as AnyJson).keys

    await order.actions.ping!()
    await writeFile(file, newKey())
    await expect.poll(async () => (await published()).length, { timeout: 30_000 }).toBe(2)
    await order.actions.ping!()
    const [current, old] = await published()
    expect(kids).toEqual([old.kid, current.kid])
    keys.close().closeAllConnections()
    await rm(folder, { recursive: true })
  })
})
