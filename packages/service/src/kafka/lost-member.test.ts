import { type ChildProcess, spawn } from 'node:child_process'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { startOwnRedis, type TestRedis, withoutOwnRedis } from '../../../limits/src/redis.fixture.ts'
import { type AnyJson, createWorld, type World } from '../world.fixture.ts'
import { brokers, connectKafka, withoutKafka } from './kafka.fixture.ts'
import { ServicePublisher } from './service-publisher.ts'

const documentOf = (topic: string) => ({
  businessApis: [
    {
      name: 'take',
      authOptions: { loginRequired: false, M2MAllowed: true },
      kafkaSettings: { hasKafkaController: true, requestTopic: topic },
    },
  ],
})

describe.skipIf(withoutKafka || withoutOwnRedis)('a consumer group that loses a member to kill -9', () => {
  const kafka = connectKafka()
  let world: World
  let redis: TestRedis
  beforeAll(async () => {
    world = await createWorld()
    redis = await startOwnRedis()
  })
  afterAll(async () => {
    await world[Symbol.asyncDispose]()
    await redis[Symbol.asyncDispose]()
    await kafka.close()
  })

  /** The member that is killed, in a process of its own. It says what it handles. */
  async function startProgram(topic: string, environment: Record<string, string>) {
    const code = `
      import { createService } from '@countersign/service'
      const take = async ({ n }) => {
        console.log('TOOK ' + n)
        await new Promise((resolve) => setTimeout(resolve, 20))
      }
      const document = ${JSON.stringify(documentOf(topic))}
      await (await createService(document, { handlers: { take } })).start()`
    const flags = ['--conditions=source', '--disable-warning=ExperimentalWarning', '--input-type=module-typescript']
    const child: ChildProcess = spawn(process.execPath, [...flags, '--eval', code], {
      cwd: new URL('../..', import.meta.url).pathname,
      env: { ...process.env, ...world.environmentOf('reader'), ...environment },
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    let output = ''
    child.stdout!.on('data', (text) => (output += text))
    return { child, took: () => [...output.matchAll(/^TOOK (\d+)$/gm)].map(([, n]) => Number(n)) }
  }

  it('reads on after seconds, and takes again only what was not committed', async () => {
    const topic = kafka.topicName()
    await kafka.admin.createTopics({ topics: [topic], partitions: 2, replicas: 1 })
    const environment = { KAFKA_BROKERS: brokers!, REDIS_URL: redis.url }
    const got: number[] = []
    const take = ({ n }: AnyJson) => void got.push(n)
    await world.start('reader', documentOf(topic), { handlers: { take }, environment })
    const { child, took } = await startProgram(topic, environment)
    const publisher = new ServicePublisher({ brokers: [brokers!], signer: world.signer('order') })
    let published = 0
    const publish = async (count: number) => {
      const numbers = Array.from({ length: count }, () => published++)
      await Promise.all(numbers.map((n) => publisher.publish(topic, { n }, { key: `key ${n % 8}` })))
    }
    const both = () => took().length > 20 && got.length > 20
    await vi.waitFor(
      async () => {
        await publish(8)
        expect(both()).toBe(true)
      },
      { timeout: 50_000, interval: 250 },
    )
    await publish(200)
    child.kill('SIGKILL')
    const killedAt = performance.now()
    const before = got.length

    const missing = () => {
      const handled = new Set([...got, ...took()])
      return Array.from({ length: published }, (_, n) => n).filter((n) => !handled.has(n))
    }
    await vi.waitFor(() => expect(missing()).toEqual([]), { timeout: 50_000, interval: 500 })
    // The session of a member lasts 12 s; the client's own would be 60.
    expect(performance.now() - killedAt).toBeLessThan(50_000)
    expect(got.length).toBeGreaterThan(before)
    // What had been handled by the one that is gone, but not committed, came again with the same place, and passed.
    const taken = new Set(took())
    const again = got.filter((n) => taken.has(n))
    expect(again.length).toBeLessThan(200)
    expect(await kafka.end(`${topic}.dead-letter`)).toBe(0)
    await publisher.close()
  }, 120_000)
})
