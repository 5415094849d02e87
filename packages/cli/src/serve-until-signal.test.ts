import { spawn } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { launcher } from './cli.fixture.ts'

it.each(['SIGINT', 'SIGTERM'] as const)(
  '%s ends an agent that still waits for its server, without a word',
  async (signal) => {
    const folder = await mkdtemp(join(tmpdir(), 'countersign-waiting-'))
    onTestFinished(() => rm(folder, { recursive: true }))
    await writeFile(join(folder, 'token'), 'any')
    const agent = spawn(process.execPath, [
      launcher,
      'agent',
      ...['--server', '127.0.0.1:9', '--trust-domain', 'shop.example', '--bootstrap-insecure'],
      ...['--node-join-token-file', join(folder, 'token')],
      ...['--socket', join(folder, 'agent.sock'), '--admin-socket', join(folder, 'admin.sock')],
    ])
    let said = ''
    agent.stderr.on('data', (chunk) => (said += chunk))
    expect(String(await new Promise((resolve) => agent.stdout.once('data', resolve)))).toContain('nobody listens at')

    agent.kill(signal)
    expect(await new Promise((resolve) => agent.on('close', resolve))).toBe(1)
    expect(said).toBe('')
  },
)
