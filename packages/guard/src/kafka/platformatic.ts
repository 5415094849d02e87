import { setTimeout as pause } from 'node:timers/promises'
import { GuardConfigurationError } from '../guard-error.ts'
import { type Consumption, type ConsumptionOptions, processingOf } from './consumption.ts'
import type { KafkaMessage, KafkaRecord } from './kafka-record.ts'
import { createOffsetCommits } from './offset-commits.ts'
import { tellTimestampTypes } from './platformatic-timestamps.ts'
import { processRecord } from './process-record.ts'

/** What is needed of a `Consumer` of @platformatic/kafka 2, which must have no deserializers. */
export interface PlatformaticConsumer {
  readonly groupId: string
  readonly generationId: number
  readonly assignments: readonly { readonly topic: string; readonly partitions: readonly number[] }[] | null
  // biome-ignore lint/suspicious/noExplicitAny: Consumer has four type parameters, and this one takes them all.
  consume(options: any): Promise<any>
  // biome-ignore lint/suspicious/noExplicitAny: as above.
  fetch(options: any, callback: any): void
  commit(options: { offsets: PlatformaticOffset[] }): Promise<void>
  // biome-ignore lint/suspicious/noExplicitAny: as above.
  on(event: any, listener: (error: Error) => void): unknown
}

interface PlatformaticOffset {
  topic: string
  partition: number
  offset: bigint
  leaderEpoch: number
}

/** What is needed of a `Producer` of @platformatic/kafka 2 to write dead letters. It must have no serializers. */
export interface PlatformaticWriter {
  // biome-ignore lint/suspicious/noExplicitAny: Producer has four type parameters, and this one takes them all.
  send(options: any): Promise<unknown>
}

export interface PlatformaticConsumptionOptions<Message = KafkaMessage> extends ConsumptionOptions<Message> {
  readonly producer: PlatformaticWriter
  /** Where a group begins that has committed nothing. Default `earliest`. */
  readonly from?: 'earliest' | 'latest'
  /** Default 100: what is handled is committed that soon. */
  readonly commitIntervalMilliseconds?: number
}

interface PlatformaticStream extends AsyncIterable<PlatformaticRecord> {
  close(): Promise<void>
  destroy(): void
}

interface PlatformaticRecord {
  key: unknown
  value: unknown
  headerEntries: readonly (readonly [unknown, unknown])[]
  topic: string
  partition: number
  offset: bigint
  timestamp: bigint
  leaderEpoch: number
  metadata: { consumer?: { generationId?: number }; timestampType?: 'append' | 'create' }
}

/**
 * Reads topics record after record, and checks each one's token before the handler sees it. What is refused, or fails,
 * goes to the dead-letter topic; then it goes on with the next. Offsets are committed behind the handler: a record may
 * come again after a crash or a rebalance, none is lost.
 */
export function consumePlatformatic<Message = KafkaMessage>(
  consumer: PlatformaticConsumer,
  options: PlatformaticConsumptionOptions<Message>,
): Consumption {
  const { topics, logger, from = 'earliest', commitIntervalMilliseconds = 100 } = options
  const processing = processingOf(options, consumer.groupId, ({ topic, key, value, headers }) =>
    options.producer.send({
      messages: [
        {
          topic,
          key: key ?? undefined,
          value: value ?? undefined,
          headers: new Map(headers.map(([name, bytes]) => [Buffer.from(name), bytes ?? Buffer.alloc(0)])),
        },
      ],
      acks: -1,
    }),
  )
  tellTimestampTypes(consumer)
  // A rejoin that failed; the next commit joins again. Nobody listening would end the process.
  consumer.on('error', (error) => logger?.error({ topics, problem: error.message }, 'the consumer group was lost'))
  const stopping = new AbortController()
  const control = { signal: stopping.signal }
  const commits = createOffsetCommits<PlatformaticOffset>({
    intervalMilliseconds: commitIntervalMilliseconds,
    commit: (offsets) => consumer.commit({ offsets: offsets.filter((offset) => isAssigned(consumer, offset)) }),
    onFailure: (error) => logger?.warn({ problem: error.message }, 'offsets are not committed yet'),
  })
  // A rejoin has the stream ask what is committed; what it was told too early it would read again.
  consumer.on('consumer:group:join', () => void commits.flush())
  let stream: PlatformaticStream | undefined
  const finished = run()

  return {
    finished,
    async stop() {
      stopping.abort()
      // A stream that waits for records ends by this.
      await stream?.close().catch(() => {})
      await finished
    },
  }

  async function run(): Promise<void> {
    while (!stopping.signal.aborted) {
      const earlier = stream
      try {
        // What is committed is where the next stream begins. Opened before the other is closed: the topics stay
        // subscribed, and the group is spared a rebalance.
        await commits.flush()
        stream = (await consumer.consume(streamOptions())) as PlatformaticStream
        earlier?.destroy()
        if (!stopping.signal.aborted) await readAll(stream)
      } catch (error) {
        if (stopping.signal.aborted || isClosed(error)) break
        logger?.error({ topics, problem: (error as Error).message }, 'reading was interrupted; beginning again')
        await pause(1_000, undefined, control).catch(() => {})
      }
    }
    await commits.flush()
    stream?.destroy()
  }

  /** Until the consumer stops, or what the stream holds was fetched before a rebalance. */
  async function readAll(records: PlatformaticStream): Promise<void> {
    const iterator = records[Symbol.asyncIterator]()
    for (;;) {
      const { done, value } = await iterator.next()
      if (done || stopping.signal.aborted || isStale(consumer, value)) return
      await processRecord(toRecord(value), processing, control)
      commits.add(nextOffset(value))
    }
  }

  function streamOptions(): object {
    return { topics: [...topics], autocommit: false, mode: 'committed', fallbackMode: from, maxWaitTime: 1_000 }
  }
}

function toRecord({ key, value, headerEntries, ...message }: PlatformaticRecord): KafkaRecord {
  return {
    topic: message.topic,
    partition: message.partition,
    offset: message.offset,
    key: bytesOf(key),
    value: bytesOf(value),
    headers: headerEntries.map(([name, bytes]) => [bytesOf(name)?.toString() ?? '', bytesOf(bytes)]),
    timestamp: Number(message.timestamp),
    // Where the client no longer lets us see it, the time is taken for one that anybody may have written.
    timestampType: message.metadata.timestampType ?? 'create',
  }
}

function bytesOf(value: unknown): Buffer | null {
  if (Buffer.isBuffer(value)) return value
  if (value === undefined || value === null) return null
  throw new GuardConfigurationError('what is signed are the bytes; make the consumer without deserializers')
}

/** The next record to read, which is what Kafka calls the committed offset. */
function nextOffset({ topic, partition, offset, leaderEpoch }: PlatformaticRecord): PlatformaticOffset {
  return { topic, partition, offset: offset + 1n, leaderEpoch }
}

function isStale(consumer: PlatformaticConsumer, record: PlatformaticRecord): boolean {
  const generation = record.metadata.consumer?.generationId
  return (generation !== undefined && generation !== consumer.generationId) || !isAssigned(consumer, record)
}

function isAssigned({ assignments }: PlatformaticConsumer, { topic, partition }: { topic: string; partition: number }) {
  return assignments?.some((one) => one.topic === topic && one.partitions.includes(partition)) ?? false
}

/** Somebody else has closed the consumer, which ends the reading too. */
function isClosed(error: unknown): boolean {
  return (error as { closed?: unknown } | null)?.closed === true
}
