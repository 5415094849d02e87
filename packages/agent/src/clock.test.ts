import { describe, expect, it } from 'vitest'
import { createSystemClock } from './clock.ts'

const hour = 3_600_000

/** Whether it fires within what a look takes, and a little more. */
async function firesSoon(begin: (callback: () => void) => void): Promise<boolean> {
  let fired = false
  begin(() => {
    fired = true
  })
  await new Promise((resolve) => setTimeout(resolve, 200))
  return fired
}

describe("the agent's timers", () => {
  it('fire when the machine slept over them, or its clock was set past them', async () => {
    let slept = 0
    const clock = createSystemClock({ now: () => Date.now() + slept, lookMilliseconds: 20 })
    const fired = new Promise<void>((resolve) => clock.after(hour, resolve))
    slept = 2 * hour
    await fired
  })

  it('fire in time when the clock is set back', async () => {
    let set = 0
    const clock = createSystemClock({ now: () => Date.now() - set, lookMilliseconds: 20 })
    const fired = new Promise<void>((resolve) => clock.after(100, resolve))
    set = 24 * hour
    await fired
  })

  it('of more than 31 bits of milliseconds do not fire at once', async () => {
    const clock = createSystemClock()
    let cancel = () => {}
    const fired = await firesSoon((callback) => {
      cancel = clock.after(365 * 24 * hour, callback)
    })
    cancel()
    expect(fired).toBe(false)
  })

  it('do not fire before their time, nor after they were cancelled', async () => {
    const clock = createSystemClock({ lookMilliseconds: 5 })
    const begun = performance.now()
    await new Promise<void>((resolve) => clock.after(60, resolve))
    expect(performance.now() - begun).toBeGreaterThanOrEqual(58)
    expect(await firesSoon((callback) => clock.after(50, callback)())).toBe(false)
  })
})
