import { rmSync } from 'node:fs'

/** Removes a folder into which processes that have just been killed may still be writing. */
export function removeFolder(folder) {
  for (let tries = 1; ; tries += 1) {
    try {
      rmSync(folder, { recursive: true, force: true })
      return
    } catch (error) {
      if (tries === 50) throw error
      pause(20)
    }
  }
}

/** Without the event loop, which no longer turns when the process exits. */
export function pause(milliseconds) {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds)
}
