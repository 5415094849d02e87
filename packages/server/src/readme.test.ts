import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'
import { freePort } from './free-port.fixture.ts'
import { generateMasterKey } from './sealing/master-key.ts'

it('the example of the README runs a server, and SIGTERM ends it', async () => {
  const readme = await readFile(new URL('../README.md', import.meta.url), 'utf8')
  const port = await freePort()
  const example = readme
    .match(/```ts\n([\s\S]*?)```/)![1]!
    .replace("'http://localhost:8080/',", `'http://localhost:${port}/', COUNTERSIGN_PORT: '${port}',`)
  const folder = await mkdtemp(join(tmpdir(), 'countersign-readme-'))
  // Inside the package, so that its own name resolves as it does for a user.
  const file = fileURLToPath(new URL(`../readme-example-${process.pid}.ts`, import.meta.url))
  await writeFile(file, example)
  const secret = 'an-administrator-secret-of-32-characters'
  const child = spawn(process.execPath, ['--conditions=source', '--disable-warning=ExperimentalWarning', file], {
    cwd: folder,
    env: {
      PATH: process.env.PATH,
      COUNTERSIGN_MASTER_KEY: generateMasterKey(),
      COUNTERSIGN_ADMIN_CLIENT_SECRET: secret,
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  try {
    // Before the test's own time is over: what was written must be removed.
    const signal = AbortSignal.timeout(40_000)
    expect(String(await once(child.stdout, 'data', { signal }))).toContain('listening at http://')
    const form = { grant_type: 'client_credentials', client_id: 'admin', client_secret: secret }
    const body = new URLSearchParams(form)
    expect((await fetch(`http://localhost:${port}/oauth/token`, { method: 'POST', body })).status).toBe(200)
    child.kill('SIGTERM')
    expect(await once(child, 'exit')).toEqual([0, null])
  } finally {
    child.kill('SIGKILL')
    await rm(file)
    await rm(folder, { recursive: true })
  }
})
