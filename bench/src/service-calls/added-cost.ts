import type { Figure } from '../figures.ts'

/** Short ones, so that some of them are disturbed by nothing else on the machine. */
const rounds = 21

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

/** Both make many calls, and say what one cost in microseconds. */
export type Compared = Record<'without' | 'with', () => Promise<number>>

export async function addedCost(name: string, rawMicroseconds: number, compared: Compared): Promise<Figure> {
  const best = await bestOfEach(compared)
  const ratio = (best.with / best.without).toFixed(2)
  return {
    name,
    measured: `+${micro(best.with - best.without)} (${micro(best.without)} -> ${micro(best.with)}, ${ratio}x)`,
    note: `raw sign and verify alone: ${micro(rawMicroseconds)}`,
  }
}

/** Rounds in turn, of which the best of each counts: all that disturbs only makes slower. */
export async function bestOfEach<Way extends string>(
  ways: Record<Way, () => Promise<number>>,
): Promise<Record<Way, number>> {
  const best = {} as Record<Way, number>
  for (let round = 0; round < rounds; round++) {
    for (const way of Object.keys(ways) as Way[])
      best[way] = Math.min(best[way] ?? Number.POSITIVE_INFINITY, await ways[way]())
  }
  return best
}

function micro(value: number): string {
  return `${Math.round(value)} us`
}
