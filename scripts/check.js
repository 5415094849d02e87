// `npm run check`: every promise that a machine can hold the code to; `--fix` first mends what can be mended.
import { spawn } from 'node:child_process'
import { dirname, join } from 'node:path'
import { installDependencies } from './install.js'
import { modernNode, root, sourceFlags } from './modern-node.js'

const checks = [
  { name: 'types', command: 'tsc', args: ['-b'], cure: 'mend the types' },
  {
    name: 'format and lint',
    command: 'biome',
    args: ['ci', '--colors=off', '--error-on-warnings'],
    cure: 'npm run fix',
  },
  { name: 'package boundaries', file: 'scripts/check-boundaries.js', cure: 'see the arrows in docs/architecture.md' },
  { name: 'unused code', command: 'knip', args: ['--no-progress'], cure: 'delete what nothing uses' },
  { name: 'generated docs', file: 'scripts/generate-docs.ts', args: ['--check'], cure: 'npm run fix' },
  {
    name: 'packages as published',
    file: 'scripts/check-packages.js',
    after: 'types',
    cure: 'see the exports in package.json',
  },
]
const repairs = [
  { name: 'format', command: 'biome', args: ['check', '--write'] },
  { name: 'generated docs', file: 'scripts/generate-docs.ts' },
]

installDependencies()
const node = modernNode()
const bin = join(root, 'node_modules', '.bin')

if (process.argv.includes('--fix')) for (const repair of repairs) await run(repair)

const done = new Map()
for (const check of checks) {
  done.set(
    check.name,
    (check.after ? done.get(check.after) : Promise.resolve()).then(() => run(check)),
  )
}
let failed = 0
for (const check of checks) {
  const { code, output, seconds } = await done.get(check.name)
  console.log(`${code === 0 ? '✓' : '✗'} ${check.name} (${seconds} s)`)
  if (code === 0) continue
  failed += 1
  console.log(output.trimEnd())
  console.log(`  to mend it: ${check.cure}`)
}
process.exit(failed === 0 ? 0 : 1)

function run({ command, file, args = [] }) {
  const startedAt = Date.now()
  const [program, ...rest] = file ? [node, ...sourceFlags, join(root, file), ...args] : [join(bin, command), ...args]
  const env = { ...process.env, PATH: `${dirname(node)}:${bin}:${process.env.PATH}`, NO_COLOR: '1' }
  const child = spawn(program, rest, { cwd: root, env })
  let output = ''
  child.stdout.on('data', (chunk) => (output += chunk))
  child.stderr.on('data', (chunk) => (output += chunk))
  return new Promise((resolve) =>
    child.on('close', (code) => resolve({ code, output, seconds: ((Date.now() - startedAt) / 1000).toFixed(1) })),
  )
}
