import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { createClient } from '@countersign/client'
import { expect, it } from 'vitest'
import { freePort } from '../../server/src/free-port.fixture.ts'
import { createAuditTrail } from './audit-trail.ts'
import { createWorld, logLines } from './world.fixture.ts'

const open = { loginRequired: false, M2MAllowed: true }

it('brings a refused call to the audit trail of a real server, under the service that refused it', async () => {
  await using playground = await startPlayground()
  await using world = await createWorld()
  const { issuer, admin } = playground
  const secretFile = join(playground.folder, 'secret')
  writeFileSync(secretFile, `${admin.client_secret}\n`)
  const inventory = await world.start(
    'inventory',
    { businessApis: [{ name: 'count', authOptions: open }] },
    {
      handlers: { count: async () => ({}) },
      environment: {
        AUDIT_ISSUER: issuer,
        AUDIT_CLIENT_ID: admin.client_id,
        AUDIT_CLIENT_SECRET_FILE: secretFile,
      },
    },
  )
  const token = world.signer('order').sign({
    audience: 'inventory-service',
    binding: { transport: 'http', method: 'POST', target: '/other', digest: 'sha-256:' },
  })
  const answer = await fetch(`${inventory.url}/count`, { method: 'POST', headers: { 'x-m2m-token': token } })
  expect(answer.status).toBe(401)
  await inventory.stop()

  const { client_id: clientId, client_secret: clientSecret } = admin
  const client = createClient({ issuer, clientId, clientSecret, audience: 'urn:countersign:admin', origins: [issuer] })
  const found = await client.fetch(`${issuer}api/v1/audit-events?outcome=failure&limit=100`)
  expect(await found.text()).toMatch(/inventory-service[^}]*order-service|order-service[^}]*inventory-service/)
})

it('wants all of its settings or none', () => {
  const complete = { AUDIT_ISSUER: 'http://localhost:8080/', AUDIT_CLIENT_ID: 'inventory' }
  expect(() => createAuditTrail({}, 'inventory-service', logLines())).not.toThrow()
  expect(() => createAuditTrail(complete, 'inventory-service', logLines())).toThrow('set all of them, or none')
  const absent = { ...complete, AUDIT_CLIENT_SECRET_FILE: '/nowhere/secret' }
  expect(() => createAuditTrail(absent, 'inventory-service', logLines())).toThrow('cannot be read: ENOENT')
})

async function startPlayground() {
  const folder = mkdtempSync(join(tmpdir(), 'countersign-audit-trail-'))
  const main = fileURLToPath(new URL('../../cli/src/main.ts', import.meta.url))
  const flags = ['--conditions=source', '--disable-warning=ExperimentalWarning']
  const words = ['dev', '--json', '--port', String(await freePort()), '--data-dir', join(folder, 'data')]
  const child = spawn(process.execPath, [...flags, main, ...words], { stdio: ['ignore', 'pipe', 'inherit'] })
  for await (const line of createInterface({ input: child.stdout })) {
    if (!line.startsWith('{')) continue
    const summary = JSON.parse(line) as { issuer: string; admin: { client_id: string; client_secret: string } }
    return {
      ...summary,
      folder,
      async [Symbol.asyncDispose]() {
        child.kill()
        rmSync(folder, { recursive: true, force: true })
      },
    }
  }
  throw new Error('the playground ended at once')
}
