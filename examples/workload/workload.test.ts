import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { text } from 'node:stream/consumers'
import { expect, it } from 'vitest'

it('has no call fail while certificates rotate, and a copied key end with its process', {
  timeout: 240_000,
}, async () => {
  const { code, output } = await run(['30'])
  expect(output).toMatch(/✓ \d+ calls, 0 failed, while order's certificate rotated [1-9]\d* times/)
  expect(output).toContain('✓ another program of the same user asks for an identity: error: ')
  expect(output).toContain('✓ with the copy inventory can be called from anywhere: 200')
  expect(output).toMatch(/✓ the copy is refused: 401 .*revoked/)
  expect(code, output).toBe(0)
})

it('says at once what it cannot do', async () => {
  const { code, output } = await run(['soon'])
  expect({ code, output }).toEqual({ code: 2, output: expect.stringContaining('npm run example -- workload 60') })
})

it('leaves neither keys nor programs behind when it is ended', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'example-'))
  const child = start(['60'], { ...process.env, TMPDIR: folder })
  for await (const line of createInterface({ input: child.stdout })) if (line.includes('proved itself')) break
  const closed = once(child.stderr.resume(), 'close')
  child.kill('SIGINT')
  await once(child, 'exit')
  expect(readdirSync(folder)).toEqual([])
  // All of its programs have this end of it.
  await closed
  rmSync(folder, { recursive: true })
})

async function run(words: readonly string[]): Promise<{ code: number; output: string }> {
  const child = start(words)
  const exit = new Promise<number>((resolve) => child.on('exit', (code) => resolve(code ?? 1)))
  const [output, errors] = await Promise.all([text(child.stdout), text(child.stderr)])
  return { code: await exit, output: output + errors }
}

function start(words: readonly string[], env = process.env) {
  const main = new URL('main.ts', import.meta.url).pathname
  const flags = ['--conditions=source', '--disable-warning=ExperimentalWarning']
  return spawn(process.execPath, [...flags, main, ...words], { stdio: ['ignore', 'pipe', 'pipe'], env })
}
