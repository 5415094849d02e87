import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'

/** A directory for one test and OpenSSL's command line in it. */
export function openssl() {
  const directory = mkdtempSync(join(tmpdir(), 'countersign-openssl-'))
  onTestFinished(() => rmSync(directory, { recursive: true }))
  return {
    /** Gives what it prints; throws where it says no. The line is split at its spaces; what has spaces follows it. */
    run: (line: string, ...rest: string[]) =>
      execFileSync('openssl', [...line.split(' '), ...rest], { cwd: directory, encoding: 'utf8', stdio: 'pipe' }),
    read: (name: string) => readFileSync(join(directory, name)),
    write: (name: string, content: string | Uint8Array) => writeFileSync(join(directory, name), content),
  }
}
