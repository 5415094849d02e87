// Ours, as it runs in production: SQLite with real fsync, durable audit, limits counted but out of the way.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  addClientSecret,
  createApi,
  createClient,
  generateMasterKey,
  loadConfig,
  setGrant,
  startServer,
} from '@countersign/server'
import pino from 'pino'

const folder = mkdtempSync(join(tmpdir(), 'countersign-bench-'))
const config = loadConfig({
  environment: {
    COUNTERSIGN_ISSUER: 'http://localhost/',
    COUNTERSIGN_HOST: '127.0.0.1',
    COUNTERSIGN_PORT: '0',
    COUNTERSIGN_DATABASE_URL: process.env.BENCH_DATABASE_URL ?? `sqlite:${join(folder, 'bench.db')}`,
    COUNTERSIGN_MASTER_KEY: generateMasterKey(),
    COUNTERSIGN_RATE_LIMITS_PER_ADDRESS_QUOTA: '1000000',
    COUNTERSIGN_RATE_LIMITS_PER_ADDRESS_WINDOW: '1s',
    COUNTERSIGN_RATE_LIMITS_PER_CLIENT_WINDOW: '1s',
    COUNTERSIGN_RATE_LIMITS_PER_CLIENT_QUOTA: '1000000',
  },
})
const server = await startServer(config, pino({ level: 'silent' }))
const { authority } = server
const api = await createApi(
  { audience: 'https://api.example.com', name: 'Bench', scopes: [{ name: 'read:things' }] },
  authority,
  {},
)
const id = await createClient({ id: 'bench' }, authority, {})
const { secret } = await addClientSecret(id, {}, authority, {})
await setGrant(id, api, ['read:things'], authority, {})
console.log(
  JSON.stringify({
    port: Number(new URL(server.url).port),
    path: '/oauth/token',
    body: `grant_type=client_credentials&client_id=${id}&client_secret=${secret}`,
  }),
)
process.on('SIGTERM', async () => {
  await server.close()
  rmSync(folder, { recursive: true, force: true })
  process.exit(0)
})
