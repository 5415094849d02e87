import {
  type CallBinding,
  grpcBinding,
  httpBinding,
  type JwtClaims,
  kafkaMessageBinding,
  kafkaRecordBinding,
} from '@countersign/tokens'

export interface ReceivedHttpCall {
  readonly transport: 'http'
  readonly method: string
  /** Path and query as the HTTP stack got them, or the whole URL; not decoded, not normalised. */
  readonly target: string
  /** Without transfer coding, with content coding (RFC 9110 section 6.4); empty when there is none. */
  readonly content: Uint8Array
}

export interface ReceivedGrpcCall {
  readonly transport: 'grpc'
  /** `/pkg.Service/Method` */
  readonly method: string
  /** After decompression, without the 5-byte prefix. Null where the requests are a stream, which the method's definition says. */
  readonly message: Uint8Array | null
}

export interface ReceivedKafkaRecord {
  readonly transport: 'kafka'
  readonly topic: string
  readonly partition: number
  readonly offset: bigint
  /** The consumer group: each of them may use a record's token once. */
  readonly group: string
  readonly key: Uint8Array | null
  readonly value: Uint8Array | null
  readonly carrier: 'header' | 'payload'
  /** The parsed object, where it carries the token. */
  readonly message?: object
  /** Milliseconds since the epoch. */
  readonly timestamp: number
  /** `append`: the broker set it (`message.timestamp.type=LogAppendTime`). `create`: whoever wrote the record did. */
  readonly timestampType: 'append' | 'create'
  /** Default 900. How old a `create` record may be; how long the token of an `append` record is remembered once read. */
  readonly maximumAgeSeconds?: number
}

/** A call as the receiver got it, whatever its token says of it. */
export type ReceivedCall = ReceivedHttpCall | ReceivedGrpcCall | ReceivedKafkaRecord

export type Transport = ReceivedCall['transport']

/** What the token must be bound to. `topicAliases`: mirrored topics and the topics that their records were signed for. */
export function bindingOf(call: ReceivedCall, topicAliases: Readonly<Record<string, string>>): CallBinding {
  if (call.transport === 'http') return httpBinding(call)
  if (call.transport === 'grpc') return grpcBinding(call)
  const topic = signedTopic(call, topicAliases)
  if (call.carrier === 'header') return kafkaRecordBinding({ topic, key: call.key, value: call.value })
  return kafkaMessageBinding({ topic, key: call.key, message: call.message ?? {} })
}

/** Whom a token for this call may name: the receiver, and on Kafka the topic, whose readers its writer need not know. */
export function audiencesOf(
  call: ReceivedCall,
  own: readonly string[],
  topicAliases: Readonly<Record<string, string>>,
): readonly string[] {
  return call.transport === 'kafka' ? [...own, `kafka:${signedTopic(call, topicAliases)}`] : own
}

function signedTopic({ topic }: ReceivedKafkaRecord, aliases: Readonly<Record<string, string>>): string {
  return Object.hasOwn(aliases, topic) ? aliases[topic]! : topic
}

/**
 * The time, in seconds since the epoch, that a token's times are compared with. A record may be read long after it was
 * written: where the broker says when that was, this counts. Where the writer says it, nothing is to be had from it; the
 * clock here counts, and a token that has ended passes until it is `maximumAgeSeconds` old.
 */
export function timeToCheck(call: ReceivedCall, claims: JwtClaims, nowSeconds: number, leewaySeconds: number): number {
  if (call.transport !== 'kafka') return nowSeconds
  if (call.timestampType === 'append') return call.timestamp / 1000
  const { iat, exp } = claims
  if (typeof iat !== 'number' || typeof exp !== 'number') return nowSeconds
  const isTooOld = nowSeconds - iat > maximumAge(call) + leewaySeconds
  return isTooOld ? Number.POSITIVE_INFINITY : Math.min(nowSeconds, exp)
}

/** Until when a use must be remembered, in seconds since the epoch: as long as the same token could pass again. */
export function rememberUntil(
  call: ReceivedCall,
  { iat, exp }: { iat: number; exp: number },
  leewaySeconds: number,
  nowSeconds: number,
): number {
  if (call.transport !== 'kafka') return exp + leewaySeconds
  const read = call.timestampType === 'append' ? nowSeconds : iat
  return Math.max(exp, read + maximumAge(call)) + leewaySeconds
}

function maximumAge({ maximumAgeSeconds = 900 }: ReceivedKafkaRecord): number {
  return maximumAgeSeconds
}

/** What is used once, as one text that no other receiver, group or sender can make. */
export function useId(call: ReceivedCall, receiver: string, sender: string, jti: string): string {
  const within = call.transport === 'kafka' ? [receiver, call.group] : [receiver]
  return JSON.stringify([...within, sender, jti])
}

/** Where a record stands for good. A request stands nowhere: it cannot come again by itself. */
export function placeOf(call: ReceivedCall): string | undefined {
  return call.transport === 'kafka' ? JSON.stringify([call.topic, call.partition, String(call.offset)]) : undefined
}
