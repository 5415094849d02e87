import { setTimeout as pause } from 'node:timers/promises'
import { errorChain } from '@countersign/outbound/error-chain'
import { GuardError } from '../guard-error.ts'
import {
  type DeadLetter,
  deadLetterOf,
  deadLetterTopicOf,
  failureOf,
  type RecordFailure,
  withoutContent,
} from './dead-letter.ts'
import type { KafkaRecord } from './kafka-record.ts'

/** How one record is dealt with. */
export interface RecordProcessing<Message> {
  /** Turns a record into what the handler gets, or refuses it with an error. */
  receive(record: KafkaRecord): Promise<Message>
  handle(message: Message): unknown
  /** Rejects when it is not written. */
  writeDeadLetter(record: DeadLetter): Promise<unknown>
  /** Default: the record's topic and `.dead-letter`. */
  readonly deadLetterTopic?: (topic: string) => string
  readonly group: string
  /** For errors that say of themselves what may be noted; undefined for others. */
  readonly describeFailure?: (error: unknown) => RecordFailure | undefined
  /** How long a record waits for keys or the memory of used tokens before it is put aside. Default 30. */
  readonly patienceSeconds?: number
  readonly logger?: RecordLogger
}

export interface RecordLogger {
  warn(details: object, message: string): void
  error(details: object, message: string): void
}

/** What a client asks for while a record takes its time. */
export interface ProcessingControl {
  /** Aborted when the consumer is to stop: nothing is waited for any more. */
  readonly signal: AbortSignal
  /** Called before and during waits. */
  heartbeat?(): Promise<void>
}

/**
 * Deals with one record. Resolves when it may be committed: it was handled, or stands in the dead-letter topic.
 * Rejects when it must not be: a dead letter that cannot be written is tried until the consumer stops.
 */
export async function processRecord<Message>(
  record: KafkaRecord,
  processing: RecordProcessing<Message>,
  control: ProcessingControl,
): Promise<void> {
  try {
    const message = await receivePatiently(record, processing, control)
    await processing.handle(message)
  } catch (error) {
    control.signal.throwIfAborted()
    await putAside(record, error, processing, control)
  }
}

/** An outage is no fault of the record: it is tried again for a while before the record is put aside. */
async function receivePatiently<Message>(
  record: KafkaRecord,
  { receive, logger, patienceSeconds = 30 }: RecordProcessing<Message>,
  control: ProcessingControl,
): Promise<Message> {
  const deadline = performance.now() + patienceSeconds * 1000
  for (const delay of delays(100)) {
    try {
      return await receive(record)
    } catch (error) {
      const isOutage = error instanceof GuardError && error.code === 'unavailable'
      if (!isOutage || performance.now() + delay > deadline) throw error
      logger?.warn({ ...placeOf(record), reason: error.reason }, 'a record cannot be checked now; trying again')
    }
    await wait(delay, control)
  }
  throw new Error('unreachable: the delays do not end')
}

async function putAside<Message>(
  record: KafkaRecord,
  error: unknown,
  processing: RecordProcessing<Message>,
  control: ProcessingControl,
): Promise<void> {
  const { group, logger, deadLetterTopic = deadLetterTopicOf } = processing
  const described = processing.describeFailure?.(error)
  const failure = described ?? failureOf(error)
  const details = { ...placeOf(record), error: failure.error, reason: failure.reason }
  const isTold = described !== undefined || error instanceof GuardError
  if (isTold) logger?.warn(details, 'a record is put aside')
  else logger?.error({ ...details, err: error }, 'a record could not be handled; it is put aside')
  let letter = deadLetterOf(record, failure, { topic: deadLetterTopic(record.topic), group })
  let isWhole = true
  for (const delay of delays(500)) {
    try {
      await processing.writeDeadLetter(letter)
      return
    } catch (problem) {
      if (isTooLarge(problem) && isWhole) {
        isWhole = false
        letter = withoutContent(letter)
        logger?.error(
          { ...details, deadLetterTopic: letter.topic },
          'a dead letter is too large; it goes without content',
        )
        continue
      }
      logger?.error(
        { ...details, deadLetterTopic: letter.topic, problem: (problem as Error)?.message },
        'a dead letter cannot be written; nothing more is read until it can: does the topic exist, and may we write it?',
      )
    }
    await wait(delay, control)
  }
}

/** Kafka's error 10 (MESSAGE_TOO_LARGE) or 18 (RECORD_LIST_TOO_LARGE), however deep the client has wrapped it. */
function isTooLarge(error: unknown): boolean {
  const names: unknown[] = ['MESSAGE_TOO_LARGE', 'RECORD_LIST_TOO_LARGE']
  return errorChain(error).some(({ apiId, type }) => names.includes(apiId) || names.includes(type))
}

/** Doubling, up to half a minute. */
function* delays(first: number): Generator<number> {
  for (let delay = first; ; delay = Math.min(delay * 2, 30_000)) yield delay
}

/** Longer than a heartbeat's interval would cost the membership in clients that send none by themselves. */
async function wait(milliseconds: number, { signal, heartbeat }: ProcessingControl): Promise<void> {
  for (let left = milliseconds; left > 0; left -= 2_000) {
    await heartbeat?.()
    await pause(Math.min(left, 2_000), undefined, { signal })
  }
}

function placeOf({ topic, partition, offset }: KafkaRecord): { topic: string; partition: number; offset: string } {
  return { topic, partition, offset: String(offset) }
}
