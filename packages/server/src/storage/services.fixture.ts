// Databases that a test may stop and kill: its own, never the ones that all tests share.
const folder = '../../../../scripts/services'

export interface OwnPostgres {
  url: string
  start(): void
  /** At once, as by a power cut of the database's process; the next start recovers */
  crash(): void
  stop(): void
}

export interface OwnRedis {
  url: string
  start(): Promise<void>
  crash(): void
  stop(): void
}

export const hasOwnPostgres = process.env.COUNTERSIGN_TEST_POSTGRES_PROGRAMS !== undefined
export const hasOwnRedis = process.env.COUNTERSIGN_TEST_REDIS_PROGRAM !== undefined

/** @param durable with PostgreSQL's real fsync */
export async function ownPostgres({ durable = false } = {}): Promise<OwnPostgres> {
  const { startPostgres } = await import(new URL(`${folder}/postgres.js`, import.meta.url).href)
  return startPostgres({ programs: process.env.COUNTERSIGN_TEST_POSTGRES_PROGRAMS, durable })
}

export async function ownRedis(): Promise<OwnRedis> {
  const { startRedis } = await import(new URL(`${folder}/redis.js`, import.meta.url).href)
  return startRedis({ program: process.env.COUNTERSIGN_TEST_REDIS_PROGRAM })
}

/** Asks again until the answer is true; fails with what was last seen. */
export async function eventually(what: () => unknown | Promise<unknown>, withinMilliseconds = 20_000): Promise<void> {
  const deadline = Date.now() + withinMilliseconds
  for (;;) {
    let seen: unknown
    try {
      seen = await what()
      if (seen) return
    } catch (error) {
      seen = error
    }
    if (Date.now() > deadline) throw new Error(`not within ${withinMilliseconds} ms; last seen: ${String(seen)}`)
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}
