interface Placed {
  chain: string
  sequence: number
}

/** How far apart neighbours of a chain may stand: bounds the memory, not the chain. */
const longestDetour = 50_000

/**
 * Events that are in the order of their times, put into the order of their chains. The two differ a little: an event
 * waits a moment for its place in the chain, and clocks are set back. What never comes is not waited for for ever.
 */
export async function* inChainOrder(events: AsyncIterable<unknown>): AsyncGenerator<unknown> {
  const chains = new Map<string, { next: number; early: Map<number, unknown> }>()
  for await (const event of events) {
    if (!isPlaced(event)) {
      yield event
      continue
    }
    const chain = chains.get(event.chain) ?? { next: 1, early: new Map() }
    chains.set(event.chain, chain)
    if (event.sequence <= chain.next) {
      yield event
      if (event.sequence === chain.next) chain.next += 1
    } else {
      // Twice the same place is for the check to see.
      if (chain.early.has(event.sequence)) yield* release(chain)
      chain.early.set(event.sequence, event)
    }
    for (
      let following = chain.early.get(chain.next);
      following !== undefined;
      following = chain.early.get(chain.next)
    ) {
      yield following
      chain.early.delete(chain.next)
      chain.next += 1
    }
    if (chain.early.size > longestDetour) yield* release(chain)
  }
  for (const chain of chains.values()) yield* release(chain)
}

function* release(chain: { next: number; early: Map<number, unknown> }): Generator<unknown> {
  for (const [sequence, event] of [...chain.early].sort(([a], [b]) => a - b)) {
    yield event
    chain.next = sequence + 1
  }
  chain.early.clear()
}

/** Negative when `a` comes before `b` in the order in which `audit search` shows events. */
export function compareTimes(a: unknown, b: unknown): number {
  const first = timeKey(a)
  const second = timeKey(b)
  for (let index = 0; index < first.length; index += 1) {
    if (first[index]! < second[index]!) return -1
    if (first[index]! > second[index]!) return 1
  }
  return 0
}

function timeKey(event: unknown): [string, string, number] {
  const { time = '', chain = '', sequence = 0 } = (event ?? {}) as Partial<Placed & { time: string }>
  return [String(time), String(chain), Number(sequence)]
}

function isPlaced(event: unknown): event is Placed {
  const { chain, sequence } = (event ?? {}) as Partial<Placed>
  return typeof chain === 'string' && Number.isSafeInteger(sequence)
}
