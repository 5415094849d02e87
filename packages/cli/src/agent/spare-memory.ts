import { setFlagsFromString } from 'node:v8'

/**
 * Makes this process small rather than fast, for an agent that runs on every machine and mostly waits: its work is
 * sockets and OpenSSL. To be called before most of the code is loaded.
 *
 * The young generation does not grow for what is loaded at the start, V8 keeps less to be fast later, and the top tier of
 * its compilers, whose own code is several megabytes, stays asleep. Together an eighth of the memory.
 */
export function spareMemory(): void {
  setFlagsFromString('--semi-space-growth-factor=1')
  setFlagsFromString('--optimize-for-size')
  setFlagsFromString('--no-opt')
}
