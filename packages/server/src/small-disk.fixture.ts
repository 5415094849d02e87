import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export interface SmallDisk {
  /** Empty where there is none */
  path: string
  /** Why there is none, for the name of a test */
  leftOut: string
  grow(): void
  unmount(): void
}

/** Two megabytes, which are soon full. */
export function mountSmallDisk(): SmallDisk {
  if (process.getuid?.() !== 0) return none('mounting a small disk needs root')
  const path = mkdtempSync(join(tmpdir(), 'countersign-small-'))
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=2m', 'tmpfs', path], { stdio: 'pipe' })
  } catch {
    rmSync(path, { recursive: true, force: true })
    return none('tmpfs cannot be mounted here')
  }
  return {
    path,
    leftOut: '',
    grow: () => void execFileSync('mount', ['-o', 'remount,size=32m', path]),
    unmount() {
      execFileSync('umount', ['-l', path])
      rmSync(path, { recursive: true, force: true })
    },
  }
}

function none(why: string): SmallDisk {
  return { path: '', leftOut: ` (left out: ${why})`, grow() {}, unmount() {} }
}
