import { setTimeout as pause } from 'node:timers/promises'
import { errorChain } from '@countersign/outbound/error-chain'
import { ClientError } from '../client-error.ts'
import { currentTenant, type TenantOption } from '../service-token/tenant.ts'
import { type RecordCarrier, type RecordSigner, signRecord } from './sign-record.ts'

/** What is needed of a `Producer` of @platformatic/kafka 2. */
export interface PlatformaticProducer {
  // biome-ignore lint/suspicious/noExplicitAny: Producer has four type parameters, and this one takes them all.
  send(options: any): Promise<unknown>
}

export interface PlatformaticMessage {
  topic: string
  key?: Uint8Array | string | null
  /** Bytes and text go as they are, null is a tombstone, anything else becomes JSON. */
  value: unknown
  headers?: Map<string | Buffer, Uint8Array | string> | Record<string, Uint8Array | string>
  partition?: number
  timestamp?: bigint
}

export interface ProducerSigningOptions {
  /** Default `header`. `payload` is for JSON objects; what is none (tombstones, arrays, binary) uses the header. */
  carrier?: RecordCarrier
  /** For calls made on behalf of a tenant; asked once for every send. */
  tenant?: TenantOption
}

export interface PlatformaticSigningOptions extends ProducerSigningOptions {
  /** How often a send is tried, each time with new tokens. Default 3. */
  attempts?: number
  /** Before the second attempt, and twice as long before each further one. Default 250. */
  retryDelayMilliseconds?: number
}

export interface SignedPlatformaticProducer {
  /** Options are those of `Producer.send`. Resolves with what it resolves with. */
  send<Options extends { messages: readonly PlatformaticMessage[] }>(options: Options): Promise<unknown>
}

/**
 * Makes a producer sign what it sends. It must send each attempt once only (`retries: 0`) and bytes as they are (no
 * serializers): a retry below this would write the same token a second time, which receivers refuse as `replayed`, or
 * after it has expired. Attempts that are made here carry tokens of their own; as with any producer, one whose
 * acknowledgement was lost stands in the topic twice.
 * @throws ClientError `invalid_configuration` for a producer that retries or serializes
 */
export function signPlatformaticProducer(
  producer: PlatformaticProducer,
  signer: RecordSigner,
  options: PlatformaticSigningOptions = {},
): SignedPlatformaticProducer {
  checkProducer(producer)
  const { attempts = 3, retryDelayMilliseconds = 250, carrier } = options
  return {
    async send(sending) {
      const signing = { carrier, tenant: currentTenant(options.tenant) }
      for (let attempt = 1; ; attempt += 1) {
        const messages = sending.messages.map((message) => signedMessage(message))
        try {
          return await producer.send({ ...sending, messages })
        } catch (error) {
          if (attempt >= attempts || !mayRetry(error)) throw error
        }
        await pause(retryDelayMilliseconds * 2 ** (attempt - 1))
      }

      function signedMessage(message: PlatformaticMessage): object {
        const { key, value, headers } = signRecord(signer, { ...message, headers: headersOf(message.headers) }, signing)
        return {
          ...message,
          key: key ?? undefined,
          value: value ?? undefined,
          headers: new Map(headers.map(([name, bytes]) => [Buffer.from(name), bytes])),
        }
      }
    },
  }
}

function headersOf(headers: PlatformaticMessage['headers']): [string, Uint8Array][] {
  const entries = headers instanceof Map ? [...headers] : Object.entries(headers ?? {})
  return entries.map(([name, value]) => [name.toString(), typeof value === 'string' ? Buffer.from(value) : value])
}

/** The client marks what is pointless to repeat, somewhere in the chain of its errors. */
function mayRetry(error: unknown): boolean {
  return errorChain(error).every(({ canRetry }) => canRetry !== false)
}

/** Its options are behind a symbol that it does not export. Where that is not found, there is nothing to check. */
function checkProducer(producer: PlatformaticProducer): void {
  const symbol = Object.getOwnPropertySymbols(producer).find(
    ({ description }) => description === 'plt.kafka.base.options',
  )
  if (symbol === undefined) return
  const options = (producer as unknown as Record<symbol, Record<string, unknown>>)[symbol]!
  const wrong =
    options.retries !== 0 && options.retries !== false
      ? 'retries below the signature would send a token twice; make the producer with retries: 0'
      : options.serializers !== undefined || options.registry !== undefined
        ? 'what is signed are the bytes; make the producer without serializers and give bytes, text or plain data'
        : undefined
  if (wrong !== undefined) throw new ClientError('invalid_configuration', wrong)
}
