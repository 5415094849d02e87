import { randomUUID } from 'node:crypto'
import { Admin, Consumer, Producer } from '@platformatic/kafka'
import { vi } from 'vitest'

/** As KAFKA_BROKERS has it; undefined where there is no Kafka. */
export const brokers = process.env.COUNTERSIGN_TEST_KAFKA_BROKERS
/** True where suites that need Kafka must be left out; in CI it is never true, so that they fail there instead. */
export const withoutKafka = missing(brokers !== undefined, 'set COUNTERSIGN_TEST_KAFKA_BROKERS, or run npm test')

export interface StoredRecord {
  key: string | null
  value: Buffer | null
  headers: Record<string, string>
}

/** One connection of each kind for a file of tests. */
export function connectKafka() {
  const client = { clientId: 'test', bootstrapBrokers: (brokers ?? '127.0.0.1:9092').split(',') }
  const admin = new Admin(client)
  const producer = new Producer(client)
  return {
    admin,
    topicName: () => `test-${randomUUID()}`,

    async createTopic(topic: string, settings: Record<string, string> = {}): Promise<void> {
      const configs = Object.entries(settings).map(([name, value]) => ({ name, value }))
      await admin.createTopics({ topics: [topic], partitions: 1, replicas: 1, configs })
      // It is made before every list of topics has it.
      await vi.waitUntil(async () => (await admin.listTopics()).includes(topic), 20_000)
    },

    /** As somebody else writes it, with whatever in it. */
    async write(topic: string, value: unknown, headers: Record<string, string> = {}): Promise<void> {
      const bytes = Buffer.isBuffer(value) ? value : Buffer.from(JSON.stringify(value))
      const named = Object.entries(headers).map(([name, text]): [Buffer, Buffer] => [
        Buffer.from(name),
        Buffer.from(text),
      ])
      await producer.send({ messages: [{ topic, value: bytes, headers: new Map(named) }] })
    },

    /** What stands in a topic; waits until there are as many. */
    async read(topic: string, count: number): Promise<StoredRecord[]> {
      const consumer = new Consumer({ ...client, groupId: randomUUID(), maxWaitTime: 100 })
      const stream = await consumer.consume({ topics: [topic], mode: 'earliest', autocommit: false })
      const records: StoredRecord[] = []
      for await (const { key, value, headerEntries } of stream) {
        const headers = Object.fromEntries(headerEntries.map(([name, text]) => [name.toString(), text.toString()]))
        records.push({ key: key?.toString() ?? null, value: value ?? null, headers })
        if (records.length === count) break
      }
      await consumer.close()
      return records
    },

    /** The offset that the group has committed in the first partition, -1 where it has none. */
    async committed(groupId: string, topic: string): Promise<number> {
      const topics = [{ name: topic, partitionIndexes: [0] }]
      const [found] = await admin.listConsumerGroupOffsets({ groups: [{ groupId, topics }] })
      return Number(found?.topics[0]?.partitions[0]?.committedOffset ?? -1)
    },

    /** Whether somebody of the group has the topic's partition. */
    async isRead(group: string, topic: string): Promise<boolean> {
      const groups = await admin.describeGroups({ groups: [group] })
      const members = [...(groups.get(group)?.members.values() ?? [])]
      return members.some(({ assignments }) => assignments?.get(topic)?.partitions.includes(0))
    },

    /** How many records there are in the first partition. */
    async end(topic: string): Promise<number> {
      const topics = [{ name: topic, partitions: [{ partitionIndex: 0, timestamp: -1n }] }]
      const [found] = await admin.listOffsets({ topics })
      return Number(found!.partitions[0]!.offset)
    },

    /** Of a topic, by name. */
    async settings(topic: string): Promise<Record<string, string | null | undefined>> {
      const [found] = await admin.describeConfigs({ resources: [{ resourceType: 2, resourceName: topic }] })
      return Object.fromEntries(found!.configs.map(({ name, value }) => [name, value]))
    },

    async close(): Promise<void> {
      await producer.close()
      await admin.close()
    },
  }
}

function missing(available: boolean, cure: string): boolean {
  if (available || process.env.CI) return false
  console.warn(`left out: tests that need Kafka; ${cure}`)
  return true
}
