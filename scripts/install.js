// Installs the dependencies where they are missing or older than the lock file. Runs on Node 20.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { root } from './modern-node.js'

const marker = join(root, 'node_modules', '.installed')

/** Everything npm says goes to stderr: stdout belongs to the program that comes after. */
export function installDependencies() {
  const lock = readFileSync(join(root, 'package-lock.json'), 'utf8')
  if (existsSync(marker) && readFileSync(marker, 'utf8') === fingerprint(lock)) return
  console.error('Installing dependencies (once, about half a minute) ...')
  // Not `npm ci`: it refuses a lock file that lacks optional packages of other platforms, which not every registry has.
  const args = ['install', '--no-save', '--no-audit', '--no-fund', '--loglevel=error']
  const { status } = spawnSync('npm', args, { cwd: root, stdio: ['ignore', 2, 2] })
  if (status !== 0) {
    console.error(
      'npm could not install the dependencies; its own words are above. Check the network and run the command again.',
    )
    process.exit(1)
  }
  writeFileSync(marker, fingerprint(lock))
}

function fingerprint(lock) {
  return `${process.arch} ${createHash('sha256').update(lock).digest('hex')}`
}
