// Writes the transcript in README.md anew: runs the session below against a playground in a folder that is removed
// again. By hand: node scripts/make-transcript.js
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { root } from './modern-node.js'
import { freePort } from './services/free-port.js'

const session = [
  '# as the administrator: an API, and a client that may read it (with what npm start says to export)',
  "countersign api create --audience https://stock.example.com --scope 'read:stock=Read the stock' --token-ttl 10m",
  'countersign client create --id svc-orders --with-secret',
  'countersign client grant svc-orders --api https://stock.example.com --scope read:stock',
  '# the client gets a token; why does the orders API not take it?',
  'countersign token get --client-id svc-orders --client-secret-file svc-orders.secret > token.txt',
  'countersign token inspect --audience https://orders.example.com - < token.txt',
  '# everything is on record, and cannot be altered without a trace',
  'countersign audit search --client-id svc-orders',
  'countersign audit verify',
]
const [begin, end] = ['<!-- transcript -->', '<!-- transcript end -->']
const launcher = join(root, 'packages/cli/bin/countersign.js')

const folder = mkdtempSync(join(tmpdir(), 'countersign-transcript-'))
const port = await freePort()
const environment = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('COUNTERSIGN_')))
const env = {
  ...environment,
  XDG_CONFIG_HOME: folder,
  NO_COLOR: '1',
  COUNTERSIGN_URL: `http://localhost:${port}`,
  COUNTERSIGN_CLIENT_ID: 'admin',
  COUNTERSIGN_CLIENT_SECRET_FILE: join(folder, '.countersign/admin.secret'),
}
const playground = spawn(process.execPath, [launcher, 'dev', '--port', String(port)], { cwd: folder, env })
try {
  const lines = [`$ npm start`, ...(await welcome())]
  for (const [index, command] of session.entries()) {
    if (!session[index - 1]?.startsWith('#')) lines.push('')
    lines.push(...run(command))
  }
  const transcript = shorten(lines.join('\n'))
  const readme = readFileSync(join(root, 'README.md'), 'utf8')
  const [before, rest = ''] = readme.split(begin)
  const after = rest.includes(end) ? rest.split(end)[1] : rest
  writeFileSync(join(root, 'README.md'), `${before}${begin}\n\n\`\`\`console\n${transcript}\n\`\`\`\n\n${end}${after}`)
} finally {
  playground.kill()
  await once(playground, 'exit')
  rmSync(folder, { recursive: true })
}

/** What happened at the start; what to try next is in the transcript anyway. */
async function welcome() {
  let text = ''
  for await (const chunk of playground.stdout) {
    text += chunk
    if (text.includes('Ctrl-C')) break
  }
  return text.split('Get a token')[0].trim().split('\n')
}

function run(command) {
  if (command.startsWith('#')) return [command]
  const text = command.replace('localhost:8080', `localhost:${port}`)
  const program = `countersign() { "${process.execPath}" "${launcher}" "$@"; }\n${text}`
  const { stdout, stderr } = spawnSync('bash', ['-c', program], { cwd: folder, env, encoding: 'utf8' })
  const output = `${stdout}${stderr.trim()}`.trim()
  const secret = output.match(/cs_secret_\w+/)
  if (secret) writeFileSync(join(folder, 'svc-orders.secret'), secret[0], { mode: 0o600 })
  return [`$ ${command}`, ...(output === '' ? [] : output.split('\n'))]
}

/** A transcript is read, not copied from. */
function shorten(text) {
  return text
    .replaceAll(`localhost:${port}`, 'localhost:8080')
    .replaceAll(`${folder}/`, '~/')
    .replaceAll(/(cs_secret_\w{6})\w+/g, '$1…')
    .replaceAll(/("kid":"|key )([\w-]{8})[\w-]{35}/g, '$1$2…')
    .replaceAll(/[0-9a-f]{8}-[0-9a-f-]{27}/g, (id) => `${id.slice(0, 8)}…`)
    .replaceAll(/ {2}data in .*/g, '')
    .replaceAll(/ +$/gm, '')
}
