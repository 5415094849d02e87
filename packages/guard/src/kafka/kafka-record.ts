import type { ServiceCaller, ServiceTokenPayload } from '../service-token/service-caller.ts'

/** A record as the broker has it, whatever client fetched it. */
export interface KafkaRecord {
  readonly topic: string
  readonly partition: number
  readonly offset: bigint
  readonly key: Buffer | null
  /** Null is a tombstone. */
  readonly value: Buffer | null
  readonly headers: readonly RecordHeader[]
  /** Milliseconds since the epoch. */
  readonly timestamp: number
  /** `append`: the broker set it (`message.timestamp.type=LogAppendTime`). `create`: whoever wrote the record did. */
  readonly timestampType: 'append' | 'create'
}

export type RecordHeader = readonly [name: string, value: Buffer | null]

/** What a handler gets: the record without its token, and who wrote it. */
export interface KafkaMessage extends KafkaRecord {
  /** The value, where it is a JSON object. Like `value`, it is without token fields, and without any `m2mPayload`. */
  readonly payload: Readonly<Record<string, unknown>> | undefined
  /** Undefined only where records without a service token are accepted. */
  readonly caller: ServiceCaller | undefined
  /** The verified claims of the token. */
  readonly m2mPayload: ServiceTokenPayload | undefined
}
