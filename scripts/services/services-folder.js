// Where services keep their files: one folder a test run, so that what a killed test has left running can be found.
import { chmodSync, existsSync, mkdtempSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { pause, removeFolder } from './remove-folder.js'

const variable = 'COUNTERSIGN_TEST_SERVICES_FOLDER'

/** For this process and, by the environment, for all that it starts. */
export function openServicesFolder() {
  // Not TMPDIR: the path of a socket may have 107 bytes at the most.
  const folder = mkdtempSync('/tmp/countersign-services-')
  chmodSync(folder, 0o755)
  process.env[variable] = folder
  return folder
}

/** @returns a fresh folder for one service */
export function serviceFolder(name) {
  return mkdtempSync(join(process.env[variable] ?? openServicesFolder(), `${name}-`))
}

/**
 * Stops by process id whatever still runs in the folder, and removes it. Starts no program to do so: a second Ctrl-C
 * would end that too.
 */
export function closeServicesFolder(folder) {
  for (const service of readdirSync(folder)) {
    const redis = processIdIn(join(folder, service, 'redis.pid'))
    const postgres = processIdIn(join(folder, service, 'data', 'postmaster.pid'))
    const kafka = processIdIn(join(folder, service, 'kafka.pid'))
    if (redis) signal(redis, 'SIGKILL')
    if (kafka) signal(kafka, 'SIGKILL')
    // Its immediate shutdown; what it still writes meanwhile would keep the folder from going.
    if (postgres) signal(postgres, 'SIGQUIT')
    for (let tries = 0; postgres && tries < 500 && signal(postgres, 0); tries += 1) pause(10)
  }
  removeFolder(folder)
}

function processIdIn(file) {
  return existsSync(file) ? Number.parseInt(readFileSync(file, 'utf8'), 10) : undefined
}

/** @returns whether there is such a process */
function signal(processId, name) {
  try {
    return process.kill(processId, name)
  } catch {
    return false
  }
}
