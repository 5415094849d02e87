import { GuardConfigurationError } from '../guard-error.ts'
import type { DeadLetter, RecordFailure } from './dead-letter.ts'
import type { KafkaMessage, KafkaRecord } from './kafka-record.ts'
import type { RecordLogger, RecordProcessing } from './process-record.ts'
import { type ReceivingOptions, type RecordVerifier, receiveRecord } from './receive-record.ts'

/** What consumers of every client have in common. */
export interface ConsumptionOptions<Message = KafkaMessage> extends Omit<ReceivingOptions, 'group'> {
  readonly topics: readonly string[]
  /** Checks the tokens. This, or `receive`. */
  readonly verifier?: RecordVerifier
  /** Instead of `verifier`: turns a record into what the handler gets, or refuses it with an error. */
  readonly receive?: (record: KafkaRecord) => Promise<Message>
  /** One record after the other; what it throws puts the record aside. Records may come again: let it bear that. */
  readonly handler: (message: Message) => unknown
  /** Default: the topic's name and `.dead-letter`. The topic must exist. */
  readonly deadLetterTopic?: string | ((topic: string) => string)
  /** What to note at a dead letter, for errors that say of themselves what may be shown; undefined for others. */
  readonly describeFailure?: (error: unknown) => RecordFailure | undefined
  /** How long a record waits for keys or the memory of used tokens before it is put aside. Default 30. */
  readonly patienceSeconds?: number
  readonly logger?: RecordLogger
}

/** A consumer at work. */
export interface Consumption {
  /** Ends when the record at hand is dealt with and offsets are committed. The consumer itself stays open. */
  stop(): Promise<void>
  /** Resolves when it has ended. */
  readonly finished: Promise<void>
}

/** Throws GuardConfigurationError for what is missing, or else would be found out with the first record. */
export function processingOf<Message>(
  options: ConsumptionOptions<Message> & { readonly producer: { send: unknown } },
  group: string,
  writeDeadLetter: (record: DeadLetter) => Promise<unknown>,
): RecordProcessing<Message> {
  const { handler, deadLetterTopic, describeFailure, patienceSeconds, logger } = options
  if (!Array.isArray(options.topics) || options.topics.length === 0)
    throw new GuardConfigurationError('"topics" is missing: give the topics to be read')
  if (typeof handler !== 'function')
    throw new GuardConfigurationError('"handler" is missing: give the function that gets each record')
  if (typeof options.producer?.send !== 'function')
    throw new GuardConfigurationError('"producer" is missing: without one a refused record cannot be put aside')
  if (typeof group !== 'string' || group === '')
    throw new GuardConfigurationError('"group" is missing: give the name of the consumer\'s group')
  const letterTopicOf = typeof deadLetterTopic === 'string' ? () => deadLetterTopic : deadLetterTopic
  if (letterTopicOf !== undefined)
    for (const topic of options.topics) refuseCircle(topic, letterTopicOf, options.topics)
  return {
    receive: receiverOf(options, group),
    handle: handler,
    writeDeadLetter,
    deadLetterTopic: letterTopicOf,
    group,
    describeFailure,
    patienceSeconds,
    logger,
  }
}

/** A record that fails would be put aside where it is read again, and fail, for ever. */
function refuseCircle(start: string, letterTopicOf: (topic: string) => string, topics: readonly string[]): void {
  const passed = new Set<string>()
  for (let topic = start; topics.includes(topic); topic = letterTopicOf(topic)) {
    if (passed.has(topic))
      throw new GuardConfigurationError(`"deadLetterTopic" leads back to ${topic}, which is read; name another topic`)
    passed.add(topic)
  }
}

function receiverOf<Message>(
  { receive, verifier, serviceToken, maximumAgeSeconds }: ConsumptionOptions<Message>,
  group: string,
): (record: KafkaRecord) => Promise<Message> {
  if (receive !== undefined) return receive
  if (verifier === undefined)
    throw new GuardConfigurationError('"verifier" is missing: give createServiceTokenVerifier')
  return (record) => receiveRecord(verifier, record, { group, serviceToken, maximumAgeSeconds }) as Promise<Message>
}
