import { currentTenant } from '../service-token/tenant.ts'
import type { ProducerSigningOptions } from './platformatic.ts'
import { type RecordSigner, type SignedRecord, signRecord } from './sign-record.ts'

/** What is needed of a producer of kafkajs 2, or of a transaction that one has begun. */
export interface KafkajsProducer {
  // biome-ignore lint/suspicious/noExplicitAny: the records and results of kafkajs, whose types are not ours to repeat.
  send(record: any): Promise<any>
  // biome-ignore lint/suspicious/noExplicitAny: as above.
  sendBatch(batch: any): Promise<any>
}

export interface KafkajsMessage {
  key?: Uint8Array | string | null
  /** Bytes and text go as they are, null is a tombstone, anything else becomes JSON. */
  value: unknown
  headers?: Record<string, Uint8Array | string | (Uint8Array | string)[] | undefined>
  partition?: number
  timestamp?: string
}

export interface SignedKafkajsProducer<Producer extends KafkajsProducer> {
  send(record: KafkajsRecord): ReturnType<Producer['send']>
  sendBatch(batch: {
    topicMessages?: KafkajsRecord[]
    acks?: number
    timeout?: number
  }): ReturnType<Producer['sendBatch']>
}

export interface KafkajsRecord {
  topic: string
  messages: KafkajsMessage[]
  acks?: number
  timeout?: number
  compression?: number
}

/**
 * Makes a producer sign what it sends. kafkajs tries again by itself and encodes the messages anew for each attempt;
 * they sign themselves while they are encoded, so that each attempt carries tokens of its own. As with any producer,
 * a record whose acknowledgement was lost stands in the topic twice.
 */
export function signKafkajsProducer<Producer extends KafkajsProducer>(
  producer: Producer,
  signer: RecordSigner,
  options: ProducerSigningOptions = {},
): SignedKafkajsProducer<Producer> {
  return {
    send: (record) => producer.send(signing(record)) as ReturnType<Producer['send']>,
    sendBatch: (batch) =>
      producer.sendBatch({ ...batch, topicMessages: batch.topicMessages?.map(signing) }) as ReturnType<
        Producer['sendBatch']
      >,
  }

  function signing(record: KafkajsRecord): KafkajsRecord {
    const signingOptions = { carrier: options.carrier, tenant: currentTenant(options.tenant) }
    const sign = (message: KafkajsMessage) =>
      signRecord(signer, { ...message, topic: record.topic, headers: headersOf(message.headers) }, signingOptions)
    return { ...record, messages: record.messages.map((message) => selfSigning(message, () => sign(message))) }
  }
}

/**
 * A message that signs itself. kafkajs reads `value` to see that there is one, and for each attempt `value` and then
 * `headers`: what belongs together is kept from the one to the other, and no longer.
 */
function selfSigning(message: KafkajsMessage, sign: () => SignedRecord): KafkajsMessage {
  let signed: SignedRecord | undefined
  const { key, partition, timestamp } = message
  return {
    key: typeof key === 'string' || key === null || key === undefined ? (key ?? null) : Buffer.from(key),
    get value() {
      signed ??= sign()
      return signed.value
    },
    get headers() {
      const { headers } = signed ?? sign()
      signed = undefined
      return byName(headers)
    },
    ...(partition === undefined ? {} : { partition }),
    ...(timestamp === undefined ? {} : { timestamp }),
  }
}

function headersOf(headers: KafkajsMessage['headers']): [string, Uint8Array][] {
  return Object.entries(headers ?? {}).flatMap(([name, value]) =>
    (Array.isArray(value) ? value : value === undefined ? [] : [value]).map((one): [string, Uint8Array] => [
      name,
      typeof one === 'string' ? Buffer.from(one) : one,
    ]),
  )
}

function byName(headers: SignedRecord['headers']): Record<string, Buffer[]> {
  const named: Record<string, Buffer[]> = Object.create(null)
  for (const [name, value] of headers) {
    named[name] ??= []
    named[name].push(value)
  }
  return named
}
