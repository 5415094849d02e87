import { type Consumption, type ConsumptionOptions, processingOf } from './consumption.ts'
import type { KafkaMessage, KafkaRecord, RecordHeader } from './kafka-record.ts'
import { processRecord } from './process-record.ts'

/** What is needed of a consumer of kafkajs 2. */
export interface KafkajsConsumer {
  subscribe(subscription: { topics: string[]; fromBeginning?: boolean }): Promise<void>
  run(config: { eachMessage(payload: KafkajsPayload): Promise<void> }): Promise<void>
  stop(): Promise<void>
  // biome-ignore lint/suspicious/noExplicitAny: kafkajs has one type for each of its events.
  on(event: any, listener: (event: any) => void): unknown
}

interface KafkajsPayload {
  topic: string
  partition: number
  message: {
    key: Buffer | null
    value: Buffer | null
    timestamp: string
    offset: string
    headers?: Record<string, Buffer | string | (Buffer | string)[] | undefined>
  }
  heartbeat(): Promise<void>
}

/** What is needed of a producer of kafkajs 2 to write dead letters. */
export interface KafkajsWriter {
  // biome-ignore lint/suspicious/noExplicitAny: the records of kafkajs, whose types are not ours to repeat.
  send(record: any): Promise<unknown>
}

export interface KafkajsConsumptionOptions<Message = KafkaMessage> extends ConsumptionOptions<Message> {
  /** The one that the consumer was made with; kafkajs does not tell. */
  readonly group: string
  readonly producer: KafkajsWriter
  /** Where a group begins that has committed nothing. Default `earliest`. */
  readonly from?: 'earliest' | 'latest'
}

/**
 * Reads topics record after record, and checks each one's token before the handler sees it. What is refused, or fails,
 * goes to the dead-letter topic; then it goes on with the next. kafkajs commits behind the handler: a record may come
 * again after a crash or a rebalance, none is lost. Both clients must be connected.
 */
export async function consumeKafkajs<Message = KafkaMessage>(
  consumer: KafkajsConsumer,
  options: KafkajsConsumptionOptions<Message>,
): Promise<Consumption> {
  const processing = processingOf(options, options.group, ({ topic, key, value, headers }) =>
    options.producer.send({ topic, acks: -1, messages: [{ key, value, headers: byName(headers) }] }),
  )
  const stopping = new AbortController()
  const finished = Promise.withResolvers<void>()
  consumer.on('consumer.stop', () => finished.resolve())
  consumer.on('consumer.crash', ({ payload }) => {
    options.logger?.error({ problem: payload.error?.message, again: payload.restart }, 'reading was interrupted')
    if (payload.restart !== true) finished.resolve()
  })
  await consumer.subscribe({ topics: [...options.topics], fromBeginning: options.from !== 'latest' })
  await consumer.run({
    async eachMessage(payload) {
      const { heartbeat } = payload
      await beating(heartbeat, () =>
        processRecord(toRecord(payload), processing, { signal: stopping.signal, heartbeat }),
      )
    },
  })

  return {
    finished: finished.promise,
    async stop() {
      stopping.abort()
      await consumer.stop()
      finished.resolve()
    },
  }
}

/** A handler that takes its time must not cost the membership, and nobody else sends heartbeats meanwhile. */
async function beating(heartbeat: () => Promise<void>, work: () => Promise<void>): Promise<void> {
  const timer = setInterval(() => heartbeat().catch(() => {}), 2_000)
  try {
    await work()
  } finally {
    clearInterval(timer)
  }
}

function toRecord({ topic, partition, message }: KafkajsPayload): KafkaRecord {
  const { key, value, timestamp, offset, headers = {} } = message
  return {
    topic,
    partition,
    offset: BigInt(offset),
    key,
    value,
    headers: Object.entries(headers).flatMap(([name, values]) =>
      (Array.isArray(values) ? values : [values]).map((one): RecordHeader => [name, toBytes(one)]),
    ),
    timestamp: Number(timestamp),
    timestampType: isAppendTime(message) ? 'append' : 'create',
  }
}

function toBytes(value: Buffer | string | null | undefined): Buffer | null {
  return typeof value === 'string' ? Buffer.from(value) : (value ?? null)
}

/** kafkajs hands on the head of the batch, untyped. Without it the time is taken for one that anybody may have written. */
function isAppendTime(message: object): boolean {
  const { batchContext } = message as { batchContext?: { timestampType?: unknown } }
  return batchContext?.timestampType === 1
}

function byName(headers: readonly RecordHeader[]): Record<string, Buffer[]> {
  const named: Record<string, Buffer[]> = Object.create(null)
  for (const [name, value] of headers) {
    named[name] ??= []
    named[name].push(value ?? Buffer.alloc(0))
  }
  return named
}
