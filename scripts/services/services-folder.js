// Where services keep their files: one folder a test run, so that what a killed test has left running can be found.
import { chmodSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'

const variable = 'COUNTERSIGN_TEST_SERVICES_FOLDER'
const processIdFiles = ['data/postmaster.pid', 'redis.pid']

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

/** Stops by process id whatever still runs in the folder, and removes it. */
export function closeServicesFolder(folder) {
  for (const service of readdirSync(folder)) {
    for (const file of processIdFiles) {
      const path = join(folder, service, file)
      if (!existsSync(path)) continue
      try {
        // PostgreSQL's immediate shutdown; Redis, which keeps nothing, ends by it too.
        process.kill(Number.parseInt(readFileSync(path, 'utf8'), 10), file === 'redis.pid' ? 'SIGKILL' : 'SIGQUIT')
      } catch {
        // It has ended meanwhile.
      }
    }
  }
  rmSync(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 })
}
