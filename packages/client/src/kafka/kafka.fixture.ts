import { randomUUID } from 'node:crypto'
import { Admin, Consumer } from '@platformatic/kafka'

const given = process.env.COUNTERSIGN_TEST_KAFKA_BROKERS

/** True where suites that need Kafka must be left out; in CI it is never true, so that they fail there instead. */
export const withoutKafka = missing(given !== undefined, 'set COUNTERSIGN_TEST_KAFKA_BROKERS, or run npm test')
export const bootstrapBrokers = (given ?? '127.0.0.1:9092').split(',')

/** A topic of the test's own. */
export async function createTopic(settings: Record<string, string> = {}): Promise<string> {
  const admin = new Admin({ clientId: 'test', bootstrapBrokers })
  const topic = `test-${randomUUID()}`
  const configs = Object.entries(settings).map(([name, value]) => ({ name, value }))
  await admin.createTopics({ topics: [topic], partitions: 1, replicas: 1, configs })
  await admin.close()
  return topic
}

export interface StoredRecord {
  key: Buffer | null
  value: Buffer | null
  headers: [name: string, value: string][]
}

/** What stands in a topic, in its order; waits until there are as many. */
export async function readTopic(topic: string, count: number): Promise<StoredRecord[]> {
  const consumer = new Consumer({ clientId: 'test', bootstrapBrokers, groupId: randomUUID(), maxWaitTime: 100 })
  const stream = await consumer.consume({ topics: [topic], mode: 'earliest', autocommit: false })
  const records: StoredRecord[] = []
  for await (const { key, value, headerEntries } of stream) {
    records.push({
      key: key ?? null,
      value: value ?? null,
      headers: headerEntries.map(([name, text]) => [name.toString(), text.toString()]),
    })
    if (records.length === count) break
  }
  await consumer.close()
  return records
}

function missing(available: boolean, cure: string): boolean {
  if (available || process.env.CI) return false
  console.warn(`left out: tests that need Kafka; ${cure}`)
  return true
}
