import { execFileSync, spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { freePort } from '../../server/src/free-port.fixture.ts'
import { launcher } from './cli.fixture.ts'

/** The Node that runs the tests, and an older one where the machine has it. */
const nodes = [process.execPath, olderNode()].filter((node) => node !== undefined)

describe.each(nodes)('bin/countersign.js started by %s', (node) => {
  it('runs the program and passes its exit code on', async () => {
    expect(await run(node, ['--version'])).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^\d+\.\d+\.\d+\n$/),
      stderr: '',
    })
    expect(await run(node, ['nonsense'])).toMatchObject({ code: 2, stdout: '' })
  })

  it('passes a signal on, and the program ends cleanly', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'countersign-launcher-'))
    const child = spawn(node, [launcher, 'dev', '--port', String(await freePort()), '--data-dir', folder, '--json'])
    const line = await new Promise<string>((resolve) => child.stdout.once('data', (chunk) => resolve(String(chunk))))
    expect(JSON.parse(line)).toHaveProperty('issuer')
    child.kill('SIGTERM')
    expect(await new Promise((resolve) => child.on('close', (code, signal) => resolve({ code, signal })))).toEqual({
      code: 0,
      signal: null,
    })
    await rm(folder, { recursive: true })
  })
})

function run(node: string, args: readonly string[]): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const child = spawn(node, [launcher, ...args])
  let [stdout, stderr] = ['', '']
  child.stdout.on('data', (chunk) => (stdout += chunk))
  child.stderr.on('data', (chunk) => (stderr += chunk))
  return new Promise((resolve) => child.on('close', (code) => resolve({ code, stdout, stderr })))
}

function olderNode(): string | undefined {
  const folders = (process.env.PATH ?? '').split(delimiter).filter((folder) => !folder.includes('node_modules'))
  try {
    const env = { ...process.env, PATH: folders.join(delimiter) }
    const [path, version] = execFileSync('node', ['-p', 'process.execPath + "\\n" + process.versions.node'], {
      env,
      encoding: 'utf8',
    }).split('\n')
    return Number(version?.split('.')[0]) < 24 ? path : undefined
  } catch {
    return undefined
  }
}
