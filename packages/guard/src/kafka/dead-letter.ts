import { serviceTokenFields } from '@countersign/tokens'
import { GuardError } from '../guard-error.ts'
import type { KafkaRecord, RecordHeader } from './kafka-record.ts'
import { tokenHeaders } from './open-record.ts'

/** Why a record is put aside. */
export interface RecordFailure {
  /** `InvalidM2MToken`, `RequiresM2MToken`, `unavailable`, `HandlerFailed`, or what a program adds. */
  readonly error: string
  /** Names the one thing at fault: `digest`, `replayed`, `handler_failed`, ... */
  readonly reason: string
  /** A sentence that quotes nothing of the record, and nothing that a handler threw. */
  readonly message: string
}

/** Where records of a topic are put aside, unless a consumer names another place. */
export function deadLetterTopicOf(topic: string): string {
  return topic + deadLetterSuffix
}

/** Whether records are put aside there. */
export function isDeadLetterTopic(topic: string): boolean {
  return topic.endsWith(deadLetterSuffix)
}

const deadLetterSuffix = '.dead-letter'

/** A record for the dead-letter topic. */
export interface DeadLetter {
  readonly topic: string
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly headers: readonly RecordHeader[]
}

/**
 * The record as it was read, and in headers why it is here and where it stood. Of its token the signature is cut off:
 * one that was not used up could be put back where it came from. To process the record after all, sign it again.
 */
export function deadLetterOf(
  record: KafkaRecord,
  failure: RecordFailure,
  to: { topic: string; group: string },
): DeadLetter {
  const notes: Record<string, string> = {
    'm2m-error': failure.error,
    'm2m-reason': failure.reason,
    'm2m-message': failure.message,
    'm2m-original-topic': record.topic,
    'm2m-original-partition': String(record.partition),
    'm2m-original-offset': String(record.offset),
    'm2m-original-timestamp': String(record.timestamp),
    'm2m-consumer-group': to.group,
  }
  return {
    topic: to.topic,
    key: record.key,
    value: record.value === null ? null : withoutSignatures(record.value),
    headers: [
      // A writer could have sent notes of its own.
      ...record.headers.filter(([name]) => !isNote.test(name)).map(withoutSignature),
      ...Object.entries(notes).map(([name, text]): RecordHeader => [name, Buffer.from(text.slice(0, longestNote))]),
    ],
  }
}

/** What is left where the record with its notes is larger than the topic takes: without key, value and headers of its own. */
export function withoutContent({ topic, headers }: DeadLetter): DeadLetter {
  const notes = headers.filter(([name]) => isNote.test(name))
  return { topic, key: null, value: null, headers: [...notes, ['m2m-content-left-out', Buffer.from('too_large')]] }
}

function withoutSignature([name, value]: RecordHeader): RecordHeader {
  if (value === null || !tokenHeaders.has(name.toLowerCase())) return [name, value]
  return [name, Buffer.from(value.toString('latin1').replace(/\.[^.]*$/, '.'), 'latin1')]
}

/** As senders write them; every other byte stays. */
function withoutSignatures(value: Buffer): Buffer {
  if (!serviceTokenFields.some((name) => value.includes(`"${name}"`))) return value
  return Buffer.from(value.toString('latin1').replace(signedField, '$1"'), 'latin1')
}

const signedField = new RegExp(`("(?:${serviceTokenFields.join('|')})"\\s*:\\s*"[\\w-]+\\.[\\w-]+\\.)[\\w-]+"`, 'g')

/** In characters: a handler's sentence may quote what it got, and notes must fit where the record did not. */
const longestNote = 500

const isNote = /^m2m-(?:error|reason|message|original-.*|consumer-group|content-left-out)$/i

/** What to note of an error. Of what a handler threw only its kind is told: its sentence may hold anything. */
export function failureOf(error: unknown): RecordFailure {
  if (error instanceof GuardError) return { error: error.code, reason: error.reason, message: error.message }
  const code = (error as { code?: unknown } | null | undefined)?.code
  return {
    error: 'HandlerFailed',
    reason: typeof code === 'string' && /^\w{1,64}$/.test(code) ? code : 'handler_failed',
    message: 'The handler of this record failed; its log says why.',
  }
}
