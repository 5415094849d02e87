import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { type AnyJson, createWorld, type StartedService, type World } from '../world.fixture.ts'
import { brokers, connectKafka, withoutKafka } from './kafka.fixture.ts'
import { type OwnBroker, startOwnBroker } from './own-broker.fixture.ts'
import { ServicePublisher } from './service-publisher.ts'

const patience = { timeout: 40_000, interval: 100 }
const m2m = { loginRequired: false, M2MAllowed: true }

/** Started in `world`, with what its handler got. */
async function startReader(world: World, topic: string, environment: Record<string, string>) {
  const got: number[] = []
  const api = { name: 'take', authOptions: m2m, kafkaSettings: { hasKafkaController: true, requestTopic: topic } }
  const take = ({ n, fail }: AnyJson) => {
    if (fail) throw new Error('made to fail')
    got.push(n)
  }
  const service = await world.start('reader', { businessApis: [api] }, { handlers: { take }, environment })
  return { service, got }
}

/** The status of /readyz, and its sentence. */
async function readiness({ url }: StartedService): Promise<string> {
  const answer = await fetch(`${url}/readyz`)
  return `${answer.status} ${((await answer.json()) as { detail?: string }).detail ?? ''}`
}

describe.skipIf(withoutKafka)('a broker that ends abruptly', () => {
  let world: World
  let broker: OwnBroker
  beforeAll(async () => {
    world = await createWorld()
    broker = await startOwnBroker()
  })
  afterAll(async () => {
    await world[Symbol.asyncDispose]()
    broker.stop()
  })

  it('loses nothing that was published, /readyz tells of it, and all goes on by itself when it is back', async () => {
    const { service, got } = await startReader(world, 'load', { KAFKA_BROKERS: broker.brokers })
    const publisher = new ServicePublisher({ brokers: [broker.brokers], signer: world.signer('order') })
    const published: number[] = []
    const publish = async (n: number) => {
      await publisher.publish('load', { n })
      published.push(n)
    }
    for (let n = 0; n < 50; n += 1) await publish(n)
    await vi.waitFor(() => expect(got).toHaveLength(50), patience)
    expect(await readiness(service)).toBe('200 ')
    await publisher.ready()

    broker.crash()
    const refused = await publish(100).catch((error) => error)
    expect(refused).toMatchObject({
      name: 'ServiceError',
      code: 'not_published',
      message: 'nothing was published to load: no broker can be reached (ECONNREFUSED)',
    })
    await expect(publisher.ready()).rejects.toThrow('nothing can be published')
    await vi.waitFor(async () => expect(await readiness(service)).toContain('503 nothing is read from Kafka'), patience)

    await broker.start()
    await vi.waitFor(() => publisher.ready(), patience)
    await vi.waitFor(() => publish(200), patience)
    for (let n = 201; n < 220; n += 1) await publish(n)
    await vi.waitFor(() => expect(new Set(got)).toEqual(new Set(published)), patience)
    await vi.waitFor(async () => expect(await readiness(service)).toBe('200 '), patience)
    await publisher.close()
  }, 180_000)
})

describe.skipIf(withoutKafka)('a topic', () => {
  const kafka = connectKafka()
  let world: World
  beforeAll(async () => {
    world = await createWorld()
  })
  afterAll(async () => {
    await world[Symbol.asyncDispose]()
    await kafka.close()
  })

  it('is made again when somebody has deleted it, and the message published', async () => {
    const topic = kafka.topicName()
    const publisher = new ServicePublisher({ brokers: [brokers!], signer: world.signer('order') })
    await publisher.publish(topic, { n: 1 })
    await kafka.admin.deleteTopics({ topics: [topic] })
    await vi.waitFor(async () => expect(await kafka.admin.listTopics()).not.toContain(topic), patience)
    await publisher.publish(topic, { n: 2 })
    expect(JSON.parse((await kafka.read(topic, 1))[0]!.value!.toString())).toMatchObject({ n: 2 })
    await publisher.close()
  })

  it('refuses a message that is too large with a sentence, which is no outage', async () => {
    const topic = kafka.topicName()
    const publisher = new ServicePublisher({ brokers: [brokers!], signer: world.signer('order'), logger: world.log })
    const refused = await publisher.publish(topic, { text: 'x'.repeat(2_000_000) }).catch((error) => error)
    expect(refused.message).toBe(
      `nothing was published to ${topic}: it is larger than the topic takes (max.message.bytes)`,
    )
    await publisher.ready()
    await publisher.close()
  })

  it('for dead letters that is gone holds the consumer up, and /readyz says so', async () => {
    const topic = kafka.topicName()
    const { service, got } = await startReader(world, topic, { KAFKA_BROKERS: brokers! })
    const publisher = new ServicePublisher({ brokers: [brokers!], signer: world.signer('order') })
    await publisher.publish(topic, { n: 1 })
    await vi.waitFor(() => expect(got).toEqual([1]), patience)
    await kafka.admin.deleteTopics({ topics: [`${topic}.dead-letter`] })
    await publisher.publish(topic, { n: 2, fail: true })
    await publisher.publish(topic, { n: 3 })
    const sentence = `503 nothing is read from Kafka: a dead letter cannot be written to ${topic}.dead-letter: there is no such`
    await vi.waitFor(async () => expect(await readiness(service)).toContain(sentence), patience)
    expect(got).toEqual([1])
    await kafka.createTopic(`${topic}.dead-letter`)
    // It is tried again less and less often.
    await vi.waitFor(() => expect(got).toEqual([1, 3]), { timeout: 80_000, interval: 100 })
    expect(await readiness(service)).toBe('200 ')
    const [letter] = await kafka.read(`${topic}.dead-letter`, 1)
    expect(letter!.headers['m2m-reason']).toBe('operation_failed')
    await publisher.close()
  }, 180_000)
})
