import { spawn } from 'node:child_process'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'
import { freePort } from '../../server/src/free-port.fixture.ts'
import { main, nodeFlags } from './cli.fixture.ts'

const root = fileURLToPath(new URL('../../../', import.meta.url))

it('every step of docs/mtls.md does what it says', { timeout: 240_000 }, async () => {
  // Inside of the package, so that the programs find what they import.
  const folder = await mkdtemp(join(root, 'packages/cli/docs-mtls-'))
  try {
    const [port, mtlsPort, nodePort, apiPort] = [await freePort(), await freePort(), await freePort(), await freePort()]
    const page = (await readFile(join(root, 'docs/mtls.md'), 'utf8'))
      .replaceAll('localhost:8080', `localhost:${port}`)
      .replaceAll('8443', String(mtlsPort))
      .replaceAll('8444', String(apiPort))
    for (const [, program = ''] of page.matchAll(/```ts\n([\s\S]*?)```/g)) {
      await writeFile(join(folder, /^\/\/ (\S+)\n/.exec(program)![1]!), program)
    }
    await mkdir(join(folder, 'bin'))
    const call = `#!/bin/sh\nexec "${process.execPath}" ${nodeFlags.join(' ')}`
    await writeFile(join(folder, 'bin/node'), `${call} "$@"\n`, { mode: 0o755 })
    await writeFile(join(folder, 'bin/countersign'), `${call} "${main}" "$@"\n`, { mode: 0o755 })
    const until = (listening: number) =>
      `until (exec 3<>/dev/tcp/localhost/${listening}) 2>/dev/null; do sleep 0.05; done`
    const steps = [...page.matchAll(/```sh\n([\s\S]*?)```/g)].map(([, step = '']) =>
      step
        .replace(/^(countersign server) &$/m, `$1 &\n${until(mtlsPort)}`)
        .replace(/^(node stock.ts) &$/m, `$1 &\n${until(apiPort)}`),
    )
    const guards = `node -e "import('./guards.ts').then((guards) => console.log(Object.keys(guards).sort().join()))"`
    const script = ['set -e', "trap 'kill $(jobs -p) 2>/dev/null' EXIT", ...steps, guards, 'exit 0'].join('\n')
    const env = {
      PATH: `${join(folder, 'bin')}:${process.env.PATH}`,
      XDG_CONFIG_HOME: folder,
      COUNTERSIGN_PORT: String(port),
      COUNTERSIGN_SPIFFE_NODE_PORT: String(nodePort),
    }
    const { code, output } = await bash(script, folder, env)
    expect(code, output).toBe(0)
    expect(output).toMatch(/"access_token":"eyJ[^"]+","token_type":"Bearer"/)
    expect(output).toContain('200 3 left, orders')
    expect(output).toContain('"reason":"proof_required"')
    expect(output).toContain('both,byName,bySpiffeId')
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
})

function bash(script: string, cwd: string, env: NodeJS.ProcessEnv): Promise<{ code: number | null; output: string }> {
  const shell = spawn('bash', ['-c', script], { cwd, env })
  let output = ''
  for (const stream of [shell.stdout, shell.stderr]) stream.on('data', (chunk) => (output += chunk))
  return new Promise((resolve) => shell.on('close', (code) => resolve({ code, output })))
}
