import { type FSWatcher, readFileSync, watch } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { setTimeout as later } from 'node:timers/promises'
import type { PrivateKey } from '@countersign/tokens'
import { ClientError } from '../client-error.ts'
import { readServiceKey } from './service-key.ts'

const pollMilliseconds = 2_000
/** A writer that does not rename is given this long to finish. */
const settleMilliseconds = 200
const longestFile = 16_384

/**
 * Reads a key file, and calls `onKey` whenever another key stands in it. The folder is watched, because mounted secrets
 * are replaced by swapping a symlink in it, and the file is read every 2 s besides, because some file systems tell
 * nothing. What cannot be used is told once and changes nothing.
 * @throws ClientError `invalid_configuration` where the first reading does not give a key
 */
export function watchKeyFile(
  path: string,
  onKey: (key: PrivateKey) => void,
  onWarning: (message: string) => void,
): { readonly key: PrivateKey; close(): void } {
  const first = readFirst(path)
  const key = readServiceKey(first, path)
  let current = first
  let currentKid = key.publicJwk.kid
  let told: string | undefined
  let isChecking = false
  let isDue = false
  let isClosed = false

  const timer = setInterval(() => void check(), pollMilliseconds).unref()
  const watcher = watchFolder(dirname(path), () => void check())
  return {
    key,
    close() {
      isClosed = true
      clearInterval(timer)
      watcher?.close()
    },
  }

  /** One look at a time, and one more where something changed meanwhile. */
  async function check(): Promise<void> {
    isDue = true
    if (isChecking) return
    isChecking = true
    while (isDue && !isClosed) {
      isDue = false
      await look()
    }
    isChecking = false
  }

  async function look(): Promise<void> {
    let fault: string | undefined
    for (const pause of [0, settleMilliseconds, settleMilliseconds]) {
      if (pause > 0) await later(pause, undefined, { ref: false })
      fault = await readAgain()
      if (fault === undefined || isClosed) break
    }
    if (fault !== undefined && fault !== told && !isClosed) onWarning(fault)
    told = fault
  }

  /** @returns what is wrong */
  async function readAgain(): Promise<string | undefined> {
    try {
      const text = bounded(await readFile(path, 'utf8'), path)
      if (text === current || isClosed) return undefined
      const next = readServiceKey(text, path)
      current = text
      if (next.publicJwk.kid !== currentKid) onKey(next)
      currentKid = next.publicJwk.kid
      return undefined
    } catch (error) {
      return `${reasonOf(error, path)} (the key that was read before signs on)`
    }
  }
}

function readFirst(path: string): string {
  try {
    return bounded(readFileSync(path, 'utf8'), path)
  } catch (error) {
    throw new ClientError('invalid_configuration', reasonOf(error, path))
  }
}

function bounded(text: string, path: string): string {
  if (text.length <= longestFile) return text
  throw new ClientError('invalid_configuration', `${path} is too large to be the key of a service`)
}

function reasonOf(error: unknown, path: string): string {
  if (error instanceof ClientError) return error.message
  const code = (error as NodeJS.ErrnoException).code ?? 'unknown'
  return `${path} cannot be read (${code}); SERVICE_SECRET_KEY_FILE names the file that countersign service keygen --out wrote`
}

function watchFolder(folder: string, onChange: () => void): FSWatcher | undefined {
  try {
    const watcher = watch(folder, { persistent: false }, onChange)
    watcher.on('error', () => watcher.close())
    return watcher
  } catch {
    return undefined
  }
}
