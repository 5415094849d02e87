import type { SpiffeError } from '../spiffe-error.ts'

/** Tells the operator of each kind of failure once, on stderr, so that a program that waits for its identity says so. */
export function warnOnce(): (error: SpiffeError) => void {
  const told = new Set<string>()
  return (error) => {
    if (told.has(error.code)) return
    told.add(error.code)
    process.emitWarning(error.message, { code: `SPIFFE_${error.code.toUpperCase()}` })
  }
}
