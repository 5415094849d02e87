import { describe, it } from 'vitest'
import { MissingRuntime } from './missing-runtime.ts'

/**
 * A suite that needs another language. Without it the suite is left out, and says so; in CI that is a failure, because
 * there nobody would notice, unless it is of what no registry has.
 */
export async function describeWith<Runtime>(
  prepare: () => Promise<Runtime>,
  name: string,
  suite: (runtime: Runtime) => void,
): Promise<void> {
  let runtime: Runtime
  try {
    runtime = await prepare()
  } catch (error) {
    if (!(error instanceof MissingRuntime)) throw error
    if (process.env.CI && !error.isOptional) {
      describe(name, () => {
        it('has the runtime that it needs', () => {
          throw error
        })
      })
    } else {
      console.warn(`left out: ${name}: ${error.message}`)
      describe.skip(`${name} (left out: ${error.message})`, () => {
        it('needs another runtime', () => {})
      })
    }
    return
  }
  describe(name, () => suite(runtime))
}
