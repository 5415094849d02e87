import { randomUUID } from 'node:crypto'
import { createMemorySingleUse } from '@countersign/limits'
import {
  createMd5TokenSigner,
  createServiceTokenSigner,
  generateSigningKey,
  importPublicJwk,
  kafkaMessageBinding,
  kafkaRecordBinding,
  md5MessageHash,
} from '@countersign/tokens'
import { Admin, Consumer, Producer } from '@platformatic/kafka'
import { Kafka, logLevel } from 'kafkajs'
import { vi } from 'vitest'
import type { ServiceTokenOptions } from '../service-token/service-token-options.ts'
import { createServiceTokenVerifier, type ServiceTokenVerifier } from '../service-token/service-token-verifier.ts'
import type { Consumption } from './consumption.ts'
import { consumeKafkajs, type KafkajsConsumptionOptions } from './kafkajs.ts'
import { consumePlatformatic } from './platformatic.ts'

const given = process.env.COUNTERSIGN_TEST_KAFKA_BROKERS

/** True where suites that need Kafka must be left out; in CI it is never true, so that they fail there instead. */
export const withoutKafka = missing(given !== undefined, 'set COUNTERSIGN_TEST_KAFKA_BROKERS, or run npm test')
const bootstrapBrokers = (given ?? '127.0.0.1:9092').split(',')
const client = { clientId: 'test', bootstrapBrokers }

const generated = await generateSigningKey('EdDSA')
/** The public half of what `signed` signs with. */
export const publicJwk = generated.publicJwk
const verificationKey = importPublicJwk(publicJwk)

/** A token of the order service. `madeAt`: milliseconds since the epoch. */
function signerAt(madeAt: number, sender: string) {
  const key = { key: generated.privateKey, publicJwk: generated.publicJwk }
  return createServiceTokenSigner({ name: sender, key, now: () => madeAt })
}

/** The notification service, which knows the keys of `order` and `billing`. */
export function createVerifier(options: Partial<ServiceTokenOptions> = {}): ServiceTokenVerifier {
  return createServiceTokenVerifier({
    name: 'notification',
    keys: { keyFor: async (_sender, { kid }) => (kid === generated.kid ? verificationKey : undefined) },
    uses: createMemorySingleUse(),
    ...options,
  })
}

export interface RecordToWrite {
  key?: Buffer
  value?: Buffer
  headers?: [name: string, value: string][]
  partition?: number
  timestamp?: bigint
}

interface SigningOptions {
  carrier?: 'header' | 'payload'
  madeAt?: number
  sender?: string
}

/** A record as the sender's library would write it. */
export function signed(
  topic: string,
  { key, value }: { key?: string; value: object | string | null },
  { carrier = 'header', madeAt = Date.now(), sender = 'order' }: SigningOptions = {},
): RecordToWrite & { token: string } {
  const keyBytes = key === undefined ? undefined : Buffer.from(key)
  const signer = signerAt(madeAt, sender)
  const audience = `kafka:${topic}`
  if (carrier === 'payload') {
    const message = value as object
    const binding = kafkaMessageBinding({ topic, key: keyBytes ?? null, message })
    const token = signer.sign({ audience, binding })
    return { key: keyBytes, value: Buffer.from(JSON.stringify({ ...message, M2MToken: token })), token }
  }
  const bytes = value === null ? undefined : Buffer.from(typeof value === 'string' ? value : JSON.stringify(value))
  const binding = kafkaRecordBinding({ topic, key: keyBytes ?? null, value: bytes ?? null })
  const token = signer.sign({ audience, binding })
  return { key: keyBytes, value: bytes, headers: [['m2m-token', token]], token }
}

/** A token of the md5 profile. */
export function signedMd5(message: object): string {
  const key = { key: generated.privateKey, publicJwk: generated.publicJwk }
  return createMd5TokenSigner({ name: 'order', key, now: Date.now }).sign(md5MessageHash(message))
}

/** One connection of each kind for a file of tests. */
export function connectKafka() {
  const admin = new Admin(client)
  const producer = new Producer(client)
  const opened: { close(): Promise<void> }[] = []
  return {
    admin,
    producer,

    /** A topic of the test's own, and its dead-letter topic. */
    async createTopic({ partitions = 1, settings = {}, deadLetters = true }: TopicOptions = {}): Promise<string> {
      const topic = `test-${randomUUID()}`
      const configs = Object.entries(settings).map(([name, value]) => ({ name, value }))
      await admin.createTopics({ topics: [topic], partitions, replicas: 1, configs })
      if (deadLetters) await admin.createTopics({ topics: [`${topic}.dead-letter`], partitions: 1, replicas: 1 })
      // They are made before every list of topics has them.
      const wanted = deadLetters ? [topic, `${topic}.dead-letter`] : [topic]
      await vi.waitUntil(async () => {
        const listed = await admin.listTopics()
        return wanted.every((name) => listed.includes(name))
      }, 20_000)
      return topic
    },

    /** In the order given, each as it is. */
    async write(topic: string, ...records: RecordToWrite[]): Promise<void> {
      const messages = records.map(({ key, value, headers = [], partition = 0, timestamp }) => ({
        topic,
        key,
        value,
        partition,
        ...(timestamp === undefined ? {} : { timestamp }),
        headers: new Map(headers.map(([name, text]) => [Buffer.from(name), Buffer.from(text)])),
      }))
      await producer.send({ messages })
    },

    /** What stands in a topic; waits until there are as many. */
    async read(topic: string, count: number): Promise<StoredRecord[]> {
      const consumer = new Consumer({ ...client, groupId: randomUUID(), maxWaitTime: 100 })
      const stream = await consumer.consume({ topics: [topic], mode: 'earliest', autocommit: false })
      const records: StoredRecord[] = []
      for await (const { key, value, headerEntries } of stream) {
        const headers = headerEntries.map(([name, text]): [string, string] => [name.toString(), text.toString()])
        records.push({ key: key ?? null, value: value ?? null, headers, notes: Object.fromEntries(headers) })
        if (records.length === count) break
      }
      await consumer.close()
      return records
    },

    /** The offset that the group has committed, -1 where it has none. */
    async committed(group: string, topic: string, partition = 0): Promise<number> {
      const [found] = await admin.listConsumerGroupOffsets({
        groups: [{ groupId: group, topics: [{ name: topic, partitionIndexes: [partition] }] }],
      })
      return Number(found?.topics[0]?.partitions[0]?.committedOffset ?? -1)
    },

    /** Only of a group that nobody is in. */
    async rewind(groupId: string, topic: string, offset: number): Promise<void> {
      const partitionOffsets = [{ partition: 0, offset: BigInt(offset) }]
      await admin.alterConsumerGroupOffsets({ groupId, topics: [{ name: topic, partitionOffsets }] })
    },

    /** How many records there are in the first partition. */
    async end(topic: string): Promise<number> {
      const [found] = await admin.listOffsets({
        topics: [{ name: topic, partitions: [{ partitionIndex: 0, timestamp: -1n }] }],
      })
      return Number(found!.partitions[0]!.offset)
    },

    /** What a test has left open is closed by `close`. */
    keep(one: { close(): Promise<void> }): void {
      opened.push(one)
    },

    async close(): Promise<void> {
      for (const one of opened) await one.close().catch(() => {})
      await producer.close()
      await admin.close()
    },
  }
}

export interface TopicOptions {
  partitions?: number
  settings?: Record<string, string>
  deadLetters?: boolean
}

export interface StoredRecord {
  key: Buffer | null
  value: Buffer | null
  headers: [name: string, value: string][]
  notes: Record<string, string>
}

export interface StartedConsumer extends Consumption {
  /** Without stopping first: nothing more is committed. */
  close(): Promise<void>
}

/** Both clients, behind one way to start them. */
export const clients: { name: string; start(options: KafkajsConsumptionOptions): Promise<StartedConsumer> }[] = [
  {
    name: '@platformatic/kafka',
    async start({ group, producer: _, ...options }) {
      const consumer = new Consumer({ ...client, groupId: group, sessionTimeout: 6_000, heartbeatInterval: 200 })
      const writer = new Producer({ ...client, retries: 0 })
      const consumption = consumePlatformatic(consumer, { ...options, producer: writer })
      return {
        ...consumption,
        async close() {
          await consumer.close(true)
          await consumption.finished
          await writer.close()
        },
      }
    },
  },
  {
    name: 'kafkajs',
    async start(options) {
      const kafka = new Kafka({ brokers: bootstrapBrokers, logLevel: logLevel.NOTHING })
      const consumer = kafka.consumer({
        groupId: options.group,
        sessionTimeout: 6_000,
        heartbeatInterval: 200,
        maxWaitTimeInMs: 200,
      })
      const writer = kafka.producer({ retry: { retries: 1, initialRetryTime: 50 } })
      await Promise.all([consumer.connect(), writer.connect()])
      const consumption = await consumeKafkajs(consumer, { ...options, producer: writer })
      return {
        ...consumption,
        async close() {
          await consumer.disconnect()
          await writer.disconnect()
        },
      }
    },
  },
]

function missing(available: boolean, cure: string): boolean {
  if (available || process.env.CI) return false
  console.warn(`left out: tests that need Kafka; ${cure}`)
  return true
}
