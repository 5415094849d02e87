interface PartitionOffset {
  readonly topic: string
  readonly partition: number
  readonly offset: bigint
}

/** Gathers what was handled, and commits it in one go from time to time. */
export interface OffsetCommits<Offset extends PartitionOffset> {
  /** Of each partition the last one added counts. */
  add(offset: Offset): void
  /** Resolves when all that was added is committed, or could not be; it never rejects. */
  flush(): Promise<void>
}

export function createOffsetCommits<Offset extends PartitionOffset>(options: {
  intervalMilliseconds: number
  commit(offsets: Offset[]): Promise<void>
  onFailure(error: Error): void
}): OffsetCommits<Offset> {
  const pending = new Map<string, Offset>()
  let timer: NodeJS.Timeout | undefined
  let running = Promise.resolve()

  return {
    add(offset) {
      pending.set(placeOf(offset), offset)
      timer ??= setTimeout(flush, options.intervalMilliseconds)
    },
    flush,
  }

  function flush(): Promise<void> {
    clearTimeout(timer)
    timer = undefined
    running = running.then(commit)
    return running
  }

  async function commit(): Promise<void> {
    const offsets = [...pending.values()]
    if (offsets.length === 0) return
    pending.clear()
    try {
      await options.commit(offsets)
    } catch (error) {
      // Later ones of the same partition, which have come meanwhile, include these.
      for (const offset of offsets) if (!pending.has(placeOf(offset))) pending.set(placeOf(offset), offset)
      options.onFailure(error as Error)
    }
  }
}

function placeOf({ topic, partition }: PartitionOffset): string {
  return `${topic}:${partition}`
}
