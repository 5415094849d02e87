import { setTimeout } from 'node:timers/promises'

/**
 * Asks again and again until it is so. What the condition throws meanwhile says that it is not yet.
 * @param stop ends the waiting before its time, with a sentence
 */
export async function until(
  condition: () => boolean | Promise<boolean>,
  { milliseconds = 30_000, stop = () => undefined }: { milliseconds?: number; stop?: () => string | undefined } = {},
): Promise<void> {
  let last: unknown
  for (const end = Date.now() + milliseconds; Date.now() < end; await setTimeout(50)) {
    const reason = stop()
    if (reason !== undefined) throw new Error(reason)
    try {
      if (await condition()) return
    } catch (error) {
      last = error
    }
  }
  throw new Error(`it did not come about in ${milliseconds} ms`, { cause: last })
}
