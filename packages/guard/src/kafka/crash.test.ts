import { spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import { createRedisSingleUse } from '@countersign/limits'
import { createClient } from 'redis'
import { afterAll, describe, expect, it, vi } from 'vitest'
import { clients, connectKafka, createVerifier, publicJwk, signed, withoutKafka } from './kafka.fixture.ts'

const redisUrl = process.env.COUNTERSIGN_TEST_REDIS_URL
const withoutRedis = redisUrl === undefined && !process.env.CI

describe.skipIf(withoutKafka || withoutRedis)('a consumer that is killed before it has committed', () => {
  const kafka = connectKafka()
  afterAll(() => kafka.close())

  it.concurrent.each(clients)('is followed by one that takes its records again ($name)', async ({ name, start }) => {
    const topic = await kafka.createTopic()
    const group = randomUUID()
    const redis = await createClient({ url: redisUrl! }).connect()
    const uses = createRedisSingleUse({ client: redis })
    // Its memory has begun before the tokens are made.
    await uses.use(group, Date.now() / 1000 + 60, { issuedAt: Date.now() / 1000 })
    const records = [0, 1, 2, 3, 4].map((n) => signed(topic, { value: { n } }))
    await kafka.write(topic, ...records)

    expect(await crash({ clientName: name, topic, group, redisUrl, publicJwk, crashAt: 2 })).toEqual([0, 1, 2])
    expect(await kafka.committed(group, topic)).toBeLessThan(3)
    await kafka.write(topic, records[2]!)

    const handled: unknown[] = []
    const consumer = await start({
      topics: [topic],
      group,
      verifier: createVerifier({ uses }),
      producer: undefined as never,
      handler: ({ payload }) => void handled.push(payload!.n),
    })
    kafka.keep(consumer)
    await vi.waitFor(() => expect(handled.at(-1)).toBe(4), { timeout: 40_000 })
    expect(handled.slice(-3)).toEqual([2, 3, 4])
    const [letter] = await kafka.read(`${topic}.dead-letter`, 1)
    expect(letter!.notes).toMatchObject({ 'm2m-reason': 'replayed', 'm2m-original-offset': '5' })
    await consumer.stop()
    await redis.close()
  })
})

/** What the consumer of the fixture has handled when it was killed. */
async function crash(options: object): Promise<number[]> {
  const program = new URL('crashing-consumer.fixture.ts', import.meta.url).pathname
  const words = ['--conditions=source', '--disable-warning=ExperimentalWarning', program, JSON.stringify(options)]
  const child = spawn(process.execPath, words, { stdio: ['ignore', 'pipe', 'inherit'], timeout: 30_000 })
  const [output, [, signal]] = await Promise.all([text(child.stdout), once(child, 'exit')])
  expect(signal).toBe('SIGKILL')
  return output.trim().split('\n').map(Number)
}
