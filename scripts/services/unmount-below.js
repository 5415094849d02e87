import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'

/** Small disks that a test has mounted in a folder and, killed, has not unmounted. */
export function unmountBelow(folder) {
  if (!existsSync('/proc/self/mounts')) return
  for (const line of readFileSync('/proc/self/mounts', 'utf8').split('\n')) {
    const place = line.split(' ')[1]
    if (place?.startsWith(`${folder}/`)) spawnSync('umount', ['-l', place])
  }
}
