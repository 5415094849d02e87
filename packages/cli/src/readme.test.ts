import { spawn } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { configJsonSchema } from '@countersign/server'
import type { Command } from 'commander'
import { describe, expect, it } from 'vitest'
import { freePort } from '../../server/src/free-port.fixture.ts'
import { main, nodeFlags } from './cli.fixture.ts'
import { createProgram } from './program.ts'

const root = fileURLToPath(new URL('../../../', import.meta.url))
const documents = [
  'README.md',
  'CONTRIBUTING.md',
  'SECURITY.md',
  ...readdirSync(join(root, 'docs'))
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`),
  ...readdirSync(join(root, 'packages')).map((name) => `packages/${name}/README.md`),
].filter((path) => existsSync(join(root, path)))
const textOf = (path: string) => readFileSync(join(root, path), 'utf8')

describe.each(documents)('%s', (path) => {
  const text = textOf(path)

  it('names only commands and options that there are', async () => {
    const wrong: string[] = []
    for (const words of commandsIn(text)) {
      const fault = await faultOf(words)
      if (fault) wrong.push(`countersign ${words.join(' ')}: ${fault}`)
    }
    expect(wrong).toEqual([])
  })

  it('names only npm scripts that there are', () => {
    const { scripts } = JSON.parse(textOf('package.json'))
    const named = [...text.matchAll(/\bnpm (?:run )?(?:--silent )?(start|test|check|fix|dev|bench|run \w+)\b(?! -w)/g)]
    const names = named.map(([, name = '']) => name.replace('run ', ''))
    expect(names.filter((name) => !(name in scripts))).toEqual([])
  })

  it('links only to files that there are', () => {
    const links = [...text.replaceAll(/```[\s\S]*?```/g, '').matchAll(/\]\((?!https?:)([^)#]+)(?:#[^)]*)?\)/g)]
    const missing = links.map(([, to = '']) => to).filter((to) => !existsSync(join(root, dirname(path), to)))
    expect(missing).toEqual([])
  })
})

it('docs/operating.md lists every setting', () => {
  const table = textOf('docs/operating.md').split('## Settings')[1]!.split('\n## ')[0]!
  const unlisted = settingsOf(configJsonSchema() as JsonSchema, '').filter((setting) => {
    const last = setting.split('.').at(-1)
    return !table.includes(`\`${setting}\``) && !table.includes(`\`.${last}\``)
  })
  expect(unlisted).toEqual([])
})

it('the two examples of the README work against the playground', { timeout: 60_000 }, async () => {
  const folder = await mkdtemp(join(tmpdir(), 'countersign-readme-'))
  const [playgroundPort, apiPort] = [await freePort(), await freePort()]
  const file = fileURLToPath(new URL(`../readme-example-${process.pid}.ts`, import.meta.url))
  const playground = spawn(process.execPath, [
    ...[...nodeFlags, main, 'dev', '--json'],
    ...['--port', String(playgroundPort), '--data-dir', folder],
  ])
  try {
    const { client } = JSON.parse(await untilLine(playground.stdout))
    const blocks = [...textOf('README.md').matchAll(/```ts\n([\s\S]*?)```/g)].map(([, code = '']) => code)
    // The third needs an agent; packages/spiffe has tests of its own for such servers.
    const examples = blocks.filter((code) => !code.includes('@countersign/spiffe'))
    expect(examples).toHaveLength(2)
    const program = [
      "import express from 'express'",
      'const app = express()',
      ...examples,
      `const listening = app.listen(${apiPort})`,
      `const mine = await fetch('http://localhost:${apiPort}/orders', { headers: { authorization: 'Bearer ' + (await client.token()).accessToken } })`,
      'console.log(JSON.stringify([response.status, mine.status, await mine.json()]))',
      'listening.close()',
      'client.close()',
    ].join('\n')
    await writeFile(file, program.replaceAll('localhost:8080', `localhost:${playgroundPort}`))
    const env = { PATH: process.env.PATH, DEMO_SECRET: client.client_secret }
    const child = spawn(process.execPath, [...nodeFlags, file], { env, stdio: ['ignore', 'pipe', 'inherit'] })
    expect(JSON.parse(await untilLine(child.stdout))).toEqual([200, 200, { hello: 'demo' }])
  } finally {
    playground.kill()
    await rm(file, { force: true })
    await rm(folder, { recursive: true, force: true })
  }
})

it("the session of the command line's README runs", { timeout: 60_000 }, async () => {
  const folder = await mkdtemp(join(tmpdir(), 'countersign-readme-'))
  const port = await freePort()
  const playground = spawn(process.execPath, [...nodeFlags, main, 'dev', '--json', '--port', String(port)], {
    cwd: folder,
  })
  try {
    await untilLine(playground.stdout)
    const session = textOf('packages/cli/README.md').match(/```sh\n([\s\S]*?)```/)![1]!
    // The playground runs already, and watching has no end.
    const commands = session.split('\n').filter((line) => !/^countersign (dev|audit tail)/.test(line))
    const countersign = `countersign() { "${process.execPath}" ${nodeFlags.join(' ')} "${main}" "$@"; }`
    const program = ['set -e', countersign, ...commands].join('\n').replaceAll('localhost:8080', `localhost:${port}`)
    const env = { PATH: process.env.PATH, XDG_CONFIG_HOME: folder }
    const shell = spawn('bash', ['-c', program], { cwd: folder, env })
    let output = ''
    for (const stream of [shell.stdout, shell.stderr]) stream.on('data', (chunk) => (output += chunk))
    const code = await new Promise((resolve) => shell.on('close', resolve))
    expect(output).toContain('Nothing to change: the server is as the file says.')
    expect(code, output).toBe(0)
  } finally {
    playground.kill()
    await rm(folder, { recursive: true, force: true })
  }
})

/** The words of every `countersign ...` in a block of sh or console, without comments, pipes and redirections. */
function commandsIn(text: string): string[][] {
  const blocks = [...text.matchAll(/```(?:sh|console)\n([\s\S]*?)```/g)].map(([, block = '']) => block)
  return blocks
    .join('\n')
    .replaceAll('\\\n', ' ')
    .split('\n')
    .flatMap((line) => [...line.matchAll(/(?:^|[|&(]\s*|\$ )(?:npx )?countersign ((?:'[^']*'|"[^"]*"|[^#|&<>()])*)/g)])
    .map(([, words = '']) => words.match(/'[^']*'|"[^"]*"|[^\s'"]+/g)?.map((word) => word.replace(/^['"]|['"]$/g, '')))
    .filter((words) => words !== undefined)
}

/** What is wrong with a command line, which is not run. */
async function faultOf(words: string[]): Promise<string | undefined> {
  let command: Command = await createProgram(words)
  const rest = [...words]
  while (command.commands.length > 0) {
    const name = rest.shift()
    const inner = command.commands.find((candidate) => candidate.name() === name)
    if (!inner) return `there is no ${name}`
    command = inner
  }
  const { operands, unknown } = command.parseOptions(rest)
  if (unknown.length > 0) return `there is no ${unknown[0]}`
  const { registeredArguments } = command
  if (operands.length > registeredArguments.length) return 'too many words'
  if (operands.length < registeredArguments.filter(({ required }) => required).length) return 'too few words'
  return undefined
}

interface JsonSchema {
  properties?: Record<string, JsonSchema>
  anyOf?: JsonSchema[]
}

function settingsOf({ properties = {}, anyOf = [] }: JsonSchema, prefix: string): string[] {
  const inner = [...Object.entries(properties), ...anyOf.flatMap((one) => Object.entries(one.properties ?? {}))]
  // A limit is one setting: { quota, window }.
  if (inner.length === 0 || /(^|\.)(rate|node)_limits\./.test(prefix)) return [prefix]
  return inner.flatMap(([name, schema]) => settingsOf(schema, prefix === '' ? name : `${prefix}.${name}`))
}

async function untilLine(output: NodeJS.ReadableStream): Promise<string> {
  let text = ''
  for await (const chunk of output) {
    text += chunk
    if (text.includes('\n')) break
  }
  return text.split('\n')[0]!
}
