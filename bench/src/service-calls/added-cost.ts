import type { Figure } from '../figures.ts'

const rounds = 9

/** The processor time of one of many, in microseconds: both ends are in this process, and waiting costs nothing. */
export async function processorMicroseconds(times: number, work: () => unknown): Promise<number> {
  const before = process.cpuUsage()
  await work()
  const { user, system } = process.cpuUsage(before)
  return (user + system) / times
}

/** The same for work that is done so often, once after the other. */
export function microsecondsOfOne(times: number, work: () => unknown): Promise<number> {
  return processorMicroseconds(times, async () => {
    for (let turn = 0; turn < times; turn++) await work()
  })
}

export interface Compared {
  /** Makes many calls, and says what one cost in microseconds. */
  without: () => Promise<number>
  with: () => Promise<number>
}

/** Rounds in turn, of which the best of each counts: all that disturbs only makes slower. */
export async function addedCost(name: string, rawMicroseconds: number, compared: Compared): Promise<Figure> {
  const best = { without: Number.POSITIVE_INFINITY, with: Number.POSITIVE_INFINITY }
  for (let round = 0; round < rounds; round++) {
    for (const way of ['without', 'with'] as const) best[way] = Math.min(best[way], await compared[way]())
  }
  const ratio = (best.with / best.without).toFixed(2)
  return {
    name,
    measured: `+${micro(best.with - best.without)} (${micro(best.without)} -> ${micro(best.with)}, ${ratio}x)`,
    note: `raw sign and verify alone: ${micro(rawMicroseconds)}`,
  }
}

function micro(value: number): string {
  return `${Math.round(value)} us`
}
