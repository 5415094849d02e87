// Installs packages of the operating system, where that can be done without asking anybody.
import { spawnSync } from 'node:child_process'

// Another installation under way, such as a fresh machine's own updates, is waited for.
const calm = ['-y', '-qq', '--no-install-recommends', '-o', 'DPkg::Lock::Timeout=120']
let listsFetched = false

/** @returns whether the packages are there now */
export function installSystemPackages(packages, say) {
  const apt = aptCommand()
  if (!apt) return false
  const [command, ...words] = apt
  const run = (...rest) =>
    spawnSync(command, [...words, ...rest], {
      // On their own these packages would start a service on the usual port, which nobody asked for.
      env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' },
      stdio: ['ignore', 'ignore', 'pipe'],
      encoding: 'utf8',
    })
  say(`installing ${packages.join(' ')} with apt ...`)
  if (!listsFetched) run('update', '-qq')
  listsFetched = true
  const { status, stderr } = run('install', ...calm, ...packages)
  if (status !== 0) say(`apt could not install ${packages.join(' ')}: ${lastLine(stderr)}`)
  return status === 0
}

/** As root; in CI also by sudo, when it asks for no password. Nobody's own machine is changed by a test run. */
function aptCommand() {
  if (!exists('apt-get')) return undefined
  if (process.getuid?.() === 0) return ['apt-get']
  if (process.env.CI && exists('sudo') && spawnSync('sudo', ['-n', 'true']).status === 0) {
    return ['sudo', '-n', 'DEBIAN_FRONTEND=noninteractive', 'RUNLEVEL=1', 'apt-get']
  }
  return undefined
}

/** Whether a program of this name is on the PATH. */
export function exists(program) {
  return spawnSync('sh', ['-c', `command -v ${program}`]).status === 0
}

function lastLine(text) {
  return (text ?? '').trim().split('\n').at(-1)
}
