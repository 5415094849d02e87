import {
  type Consumption,
  consumePlatformatic,
  deadLetterTopicOf,
  type KafkaRecord,
  type RecordFailure,
} from '@countersign/guard/kafka'
import type { Consumer, Producer } from '@platformatic/kafka'
import { describeError, reasonOf } from '../log/describe-error.ts'
import type { Operation } from '../operation.ts'
import { Problem } from '../problem.ts'
import { isRefusal, reasonOfRefusal } from '../refusal.ts'
import { ServiceError } from '../service-error.ts'
import type { Transport, TransportRuntime } from '../transport.ts'
import { type KafkaConnection, loadKafkaClients } from './kafka-clients.ts'
import { kafkaFailure } from './kafka-failure.ts'
import { admitRecord, type RecordCall } from './record-call.ts'
import { createMissingTopics, warnOfCreateTime } from './topics.ts'

export interface KafkaRuntime extends TransportRuntime {
  /** The service's full name: the consumer group, unless KAFKA_GROUP names another. */
  readonly name: string
  readonly connection: KafkaConnection
}

export interface KafkaTransport extends Transport {
  /** What is in the way of a start. */
  readonly faults: readonly string[]
}

/**
 * The service's Kafka side: one consumer for the request topics of all its operations. What is refused, or fails, goes to
 * `{topic}.dead-letter` with the reason, and the next record is read.
 */
export function createKafkaTransport(runtime: KafkaRuntime): KafkaTransport {
  const { settings, log, name } = runtime
  const { kafkaBrokers: brokers, kafkaGroup: group = name } = settings
  const operations = byTopic(runtime.operations)
  const topics = [...operations.keys()]
  const gone = new AbortController()
  let consumer: Consumer | undefined
  let producer: Producer | undefined
  let consumption: Consumption | undefined
  let startedAt = 0
  let unwritten: string | undefined

  return {
    faults:
      topics.length > 0 && brokers.length === 0
        ? [`it reads ${topics.join(', ')}, and there is no Kafka: set KAFKA_BROKERS`]
        : [],
    async start() {
      if (topics.length === 0) return
      const clients = await loadKafkaClients({ brokers, clientId: name, connection: runtime.connection })
      const admin = clients.createAdmin()
      try {
        const { existing } = await createMissingTopics(admin, [...topics, ...topics.map(deadLetterTopicOf)], log)
        await warnOfCreateTime(
          admin,
          topics.filter((topic) => existing.includes(topic)),
          log,
        )
      } catch (cause) {
        // Without the cause: whoever does not catch this would get a hundred lines of it, and the sentence above them.
        throw new ServiceError(
          'cannot_start',
          `Kafka at ${brokers.join(', ')} cannot be used (${reasonOf(cause)}); check KAFKA_BROKERS`,
        )
      } finally {
        await admin.close()
      }
      consumer = clients.createConsumer(group)
      producer = clients.createProducer({ retries: 3 })
      startedAt = Date.now()
      consumption = consumePlatformatic<RecordCall>(consumer, {
        topics,
        producer: { send: (letters) => writeLetters(producer!, letters) },
        receive,
        handler: serve,
        describeFailure,
        logger: {
          warn: (details, message) => log.warn(withoutCause(details), message),
          error: (details, message) => log.error(withoutCause(details), message),
        },
      })
      log.info({ topics, group }, 'Kafka is read')
    },
    async ready() {
      if (consumer === undefined) return
      if (isCutOff(consumer, startedAt))
        throw new Error(`nothing is read from Kafka: the brokers at ${brokers.join(', ')} do not answer`)
      if (unwritten !== undefined) throw new Error(`nothing is read from Kafka: ${unwritten}`)
    },
    async stop() {
      const cut = setTimeout(
        () => gone.abort(new Problem(503, 'stopping', 'the service is shutting down')),
        graceOf(settings),
      )
      await Promise.race([consumption?.stop(), aborted(gone.signal)])
      clearTimeout(cut)
      await consumer?.close(true)
      await producer?.close()
    },
  }

  async function receive(record: KafkaRecord): Promise<RecordCall> {
    const startedAt = performance.now()
    const operation = operations.get(record.topic)!
    try {
      return await admitRecord(operation, record, runtime, { group, signal: gone.signal })
    } catch (error) {
      finished(operation, undefined, error, startedAt)
      throw error
    }
  }

  async function serve({ operation, call, startedAt }: RecordCall): Promise<void> {
    let failure: unknown
    const waiting = setInterval(() => {
      const seconds = Math.round((performance.now() - startedAt) / 1000)
      log.warn({ operation: operation.name, seconds }, 'a handler has not ended; nothing more is read until it does')
    }, patienceMilliseconds).unref()
    try {
      await operation.invoke(call)
    } catch (error) {
      failure = error
      throw error
    } finally {
      clearInterval(waiting)
      finished(operation, call.admission, failure, startedAt)
    }
  }

  /** Until one is written the consumer goes no further. */
  async function writeLetters(writer: Producer, letters: Parameters<Producer['send']>[0]): Promise<void> {
    try {
      await writer.send(letters)
      unwritten = undefined
    } catch (error) {
      const [letter] = letters.messages
      unwritten = `a dead letter cannot be written to ${letter?.topic}: ${kafkaFailure(error)}`
      throw error
    }
  }

  function finished(
    operation: Operation,
    admission: RecordCall['call']['admission'] | undefined,
    failure: unknown,
    startedAt: number,
  ) {
    const refusal = isRefusal(failure) ? failure : undefined
    const status = failure === undefined ? 200 : (refusal?.status ?? 500)
    const reason = refusal && reasonOfRefusal(refusal)
    const milliseconds = performance.now() - startedAt
    runtime.onCall({ operation, transport: 'kafka', admission, status, reason, milliseconds })
  }
}

/** Heartbeats leave every 3 s, but not while the group is dealt out anew, which takes half a minute at the most. */
function isCutOff(consumer: Consumer, startedAt: number): boolean {
  const silent = Date.now() - (consumer.lastHeartbeat?.getTime() ?? startedAt)
  return silent > 45_000 || (silent > 6_000 && !consumer.isConnected())
}

/** The document has one operation at most for each topic. */
function byTopic(operations: readonly Operation[]): ReadonlyMap<string, Operation> {
  return new Map(
    operations.flatMap((operation) => (operation.kafka ? [[operation.kafka.requestTopic, operation]] : [])),
  )
}

/** A Problem's sentence may be read by whoever called, and so by whoever reads the dead letters. */
function describeFailure(error: unknown): RecordFailure | undefined {
  if (!(error instanceof Problem)) return undefined
  const { code, message, extra } = error
  const incident = typeof extra.incident === 'string' ? ` (${extra.incident})` : ''
  return { error: code, reason: code, message: `${message}${incident}` }
}

/** What was thrown, for the log: without tokens, and without what hangs on it. */
function withoutCause(details: object): object {
  const { err, ...rest } = details as { err?: unknown }
  return err === undefined ? rest : { ...rest, err: describeError(err) }
}

function graceOf({ stopSeconds }: { stopSeconds: number }): number {
  return stopSeconds * 1000
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
}

/** A handler that takes longer is told of, and again each time as long. */
const patienceMilliseconds = 30_000
