import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'
import { withoutKafka } from '../../client/src/kafka/kafka.fixture.ts'
import { freePort } from '../../server/src/free-port.fixture.ts'
import { main, nodeFlags } from './cli.fixture.ts'

const asOrder = 'export SERVICE_SHORT_NAME=order SERVICE_SECRET_KEY_FILE=order.pem'

const root = fileURLToPath(new URL('../../../', import.meta.url))

it('every step of docs/signed-calls.md does what it says', { timeout: 240_000 }, async () => {
  await using tried = await startTrying('docs/signed-calls.md')
  const [login, receive, call, fail, rotate] = tried.steps as [string, string, string, string, string]
  const { code, output } = await tried.run([login, receive, call, fail, rotate])
  expect(code, output).toBe(0)
  expect(output.match(/200 \{ left: 3, calledBy: 'order-service' \}/g)).toHaveLength(2)
  expect(output).toContain('inventory-service would take this token for this call.')
  const answers = [...output.matchAll(/"(?:reason|calledBy)":"([^"]+)"/g)].map(([, said]) => said)
  expect(answers).toEqual(['digest', 'order-service', 'replayed'])
})

it('and so does gRPC', { timeout: 240_000 }, async () => {
  await using tried = await startTrying('docs/signed-calls.md')
  const [login, receive, , , , grpc] = tried.steps as [string, string, string, string, string, string]
  const { code, output } = await tried.run([login, receive, asOrder, grpc])
  expect(code, output).toBe(0)
  expect(output).toContain("gRPC: { left: 3, calledBy: 'order-service' }")
})

it.skipIf(withoutKafka)('and Kafka', { timeout: 240_000 }, async () => {
  await using tried = await startTrying('docs/signed-calls.md')
  const [login, receive, , , , , kafka] = tried.steps as [string, string, string, string, string, string, string]
  const { code, output } = await tried.run([
    login,
    receive,
    asOrder,
    kafka.replace(/ &$/m, ' >kafka.txt 2>&1 &'),
    said('order-service says { orderId: .o-1., total: 12.5 }'),
    said('missing_credential'),
  ])
  expect(code, output).toBe(0)
})

it('every step of docs/moving-from-md5.md does what it says, and at each every pair understands each other', {
  timeout: 240_000,
}, async () => {
  await using tried = await startTrying('docs/moving-from-md5.md')
  const [before, accept, switched, terminal] = tried.steps as [string, string, string, string]
  const stop = 'kill $! && wait $! 2>/dev/null || true'
  const dropped = `sed -i '/md5: true/d' inventory.ts\n${accept}\nnode order.ts`
  const { code, output } = await tried.run([before, accept, switched, 'node today.ts', terminal, stop, dropped])
  expect(code, output).toBe(0)
  const said = output.split('\n').filter((line) => /^(today|order): |sent (md5|m2m)/.test(line))
  const came = (profile: string, outcome: string) => `order-service sent ${profile}: ${outcome}`
  const [old, young] = [
    [came('md5', 'accepted'), 'today: 200 '],
    [came('m2m', 'accepted'), 'order: 200'],
  ]
  expect(said.slice(0, 6).sort()).toEqual([...old!, ...young!, ...old!].sort())
  expect(said.slice(6)).toEqual([came('m2m', 'typ'), 'today: 401 typ', ...young!])
  expect(output.match(/inventory-service would take this token/g)).toHaveLength(2)
  expect(output).toContain('may be used again, at any receiver, until they expire')
})

/** Waits until the program that reads Kafka has said it. */
const said = (text: string) => `until grep -q '${text}' kafka.txt; do sleep 0.1; done`

/**
 * A folder with the programs of a document, each named by its first line, and a playground beside it. `steps` are its
 * shell blocks, at ports of their own.
 */
async function startTrying(path: string) {
  // Inside of the package, so that the programs find what they import.
  const folder = await mkdtemp(join(root, 'packages/cli/docs-'))
  const [playgroundPort, apiPort, grpcPort] = [await freePort(), await freePort(), await freePort()]
  const text = (await readFile(join(root, path), 'utf8'))
    .replaceAll('localhost:8080', `localhost:${playgroundPort}`)
    .replaceAll('localhost:8081', `localhost:${apiPort}`)
    .replaceAll('app.listen(8081)', `app.listen(${apiPort})`)
    .replaceAll('localhost:8082', `localhost:${grpcPort}`)
    .replaceAll('localhost:9092', process.env.COUNTERSIGN_TEST_KAFKA_BROKERS ?? 'localhost:9092')
    .replaceAll('orders.created', `orders.created.${apiPort}`)
  const blocks = (language: string) =>
    [...text.matchAll(new RegExp(`\`\`\`${language}\\n([\\s\\S]*?)\`\`\``, 'g'))].map(([, block = '']) => block)
  for (const program of [...blocks('ts'), ...blocks('proto')]) {
    const name = /^\/\/ ([\w-]+\.\w+)\n/.exec(program)![1]!
    await writeFile(join(folder, name), program)
  }
  const playground = spawn(process.execPath, [...nodeFlags, main, 'dev', '--json', '--port', String(playgroundPort)], {
    cwd: folder,
  })
  await new Promise((resolve) => playground.stdout.once('data', resolve))
  // Programs rather than shell functions, so that the shell's own children are the processes that it ends.
  await mkdir(join(folder, 'bin'))
  const call = `#!/bin/sh\nexec "${process.execPath}" ${nodeFlags.join(' ')}`
  await writeFile(join(folder, 'bin/node'), `${call} "$@"\n`, { mode: 0o755 })
  await writeFile(join(folder, 'bin/countersign'), `${call} "${main}" "$@"\n`, { mode: 0o755 })
  const shells: ChildProcess[] = []
  return {
    steps: blocks('sh'),
    /** All in one shell. A program that stays is waited for until it listens. */
    async run(steps: readonly string[]): Promise<{ code: unknown; output: string }> {
      const listening = (step: string) => {
        if (step.includes('kafka')) return said('reads')
        const port = step.includes('grpc') ? grpcPort : apiPort
        return `until (exec 3<>/dev/tcp/localhost/${port}) 2>/dev/null; do sleep 0.05; done`
      }
      const script = [
        'set -e',
        "trap 'kill $(jobs -p) 2>/dev/null' EXIT",
        ...steps.map((step) => step.replaceAll(/^(.* &)$/gm, `$1\n${listening(step)}`)),
      ]
      const env = { PATH: `${join(folder, 'bin')}:${process.env.PATH}`, XDG_CONFIG_HOME: folder }
      const shell = spawn('bash', ['-c', script.join('\n')], { cwd: folder, env })
      shells.push(shell)
      let output = ''
      for (const stream of [shell.stdout, shell.stderr]) stream.on('data', (chunk) => (output += chunk))
      return { code: await new Promise((resolve) => shell.on('close', resolve)), output }
    },
    async [Symbol.asyncDispose]() {
      const ended = [playground, ...shells].map((child) => child.exitCode ?? child.signalCode ?? once(child, 'exit'))
      for (const child of [playground, ...shells]) child.kill()
      await Promise.all(ended)
      await rm(folder, { recursive: true, force: true })
    },
  }
}
