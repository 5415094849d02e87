// A PostgreSQL of one's own: a fresh folder in /tmp, a free port, trust for every local connection.
import { spawnSync } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { freePort } from './free-port.js'
import { serviceFolder } from './services-folder.js'

const asPostgres = process.getuid?.() === 0 ? ['runuser', '-u', 'postgres', '--'] : []
const careless = ['fsync=off', 'synchronous_commit=off', 'full_page_writes=off']

/**
 * @param programs folder of initdb and pg_ctl, see postgres-programs.js
 * @param durable keep PostgreSQL's own care for power cuts; without it, tests are faster
 * @returns {Promise<{ url: string, start(): void, crash(): void, stop(): void }>} `crash` is an immediate shutdown that
 *   leaves recovery to the next `start`; `stop` also removes the folder. All are synchronous: they work at exit too.
 */
export async function startPostgres({ programs, durable = false }) {
  const folder = serviceFolder('postgres')
  const [data, log] = [join(folder, 'data'), join(folder, 'server.log')]
  if (asPostgres.length > 0) spawnSync('chown', ['postgres', folder])
  else mkdirSync(data, { mode: 0o700 })
  chmodSync(folder, 0o755)
  const port = await freePort()
  const settings = ['listen_addresses=127.0.0.1', `port=${port}`, `unix_socket_directories=${folder}`]
  if (!durable) settings.push(...careless)
  const control = (...words) => run(programs, folder, log, 'pg_ctl', '-D', data, '-w', '-t', '60', ...words)

  const server = {
    url: `postgres://app@127.0.0.1:${port}/postgres`,
    start: () => control('-l', log, '-o', settings.map((setting) => `-c ${setting}`).join(' '), 'start'),
    crash: () => control('-m', 'immediate', 'stop'),
    stop() {
      if (existsSync(join(data, 'postmaster.pid'))) server.crash()
      rmSync(folder, { recursive: true, force: true })
    },
  }
  try {
    const options = ['-U', 'app', '-A', 'trust', '-E', 'UTF8', '--no-locale', '--no-sync']
    run(programs, folder, log, 'initdb', '-D', data, ...options)
    server.start()
  } catch (error) {
    server.stop()
    throw error
  }
  return server
}

function run(programs, folder, log, program, ...words) {
  const [command, ...rest] = [...asPostgres, join(programs, program), ...words]
  // No pipes: the server would inherit them, and waiting for their end would be waiting for the server's.
  const { status } = spawnSync(command, rest, { cwd: folder, stdio: 'ignore' })
  if (status === 0) return
  const said = existsSync(log) ? readFileSync(log, 'utf8').trim().split('\n').slice(-5).join('\n') : ''
  throw new Error(`PostgreSQL's ${program} failed (${status}) ${said}`)
}
