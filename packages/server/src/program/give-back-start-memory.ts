import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

const quietMilliseconds = 1_000

/**
 * Loading the program fills and grows the young generation, and V8 keeps it that large on an idle server: about 15 MB.
 * One thorough collection after the start gives it back; it grows again with the load.
 * @returns a function that calls it off
 */
export function giveBackStartMemory(): () => void {
  const timer = setTimeout(() => {
    setFlagsFromString('--expose-gc')
    const collect = runInNewContext('gc') as (options: object) => void
    setFlagsFromString('--no-expose-gc')
    collect({ type: 'major', execution: 'async', flavor: 'last-resort' })
  }, quietMilliseconds)
  timer.unref()
  return () => clearTimeout(timer)
}
