import { once } from 'node:events'
import { setTimeout } from 'node:timers/promises'

/** For commands that stay until Ctrl-C or a supervisor ends them. */
export function untilSignal(): { readonly ended: Promise<unknown>; wait(milliseconds: number): Promise<boolean> } {
  const controller = new AbortController()
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => controller.abort())
  return {
    ended: once(controller.signal, 'abort'),
    /** False when the end came first. */
    wait: (milliseconds) =>
      setTimeout(Math.min(milliseconds, 2_147_483_647), true, { signal: controller.signal }).catch(() => false),
  }
}
