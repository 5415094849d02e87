import { GuardError } from '../guard-error.ts'
import type { ReceivedKafkaRecord } from '../service-token/received-call.ts'
import type { ServiceCaller } from '../service-token/service-caller.ts'
import type { KafkaMessage, KafkaRecord } from './kafka-record.ts'
import { type OpenedRecord, openRecord } from './open-record.ts'

/** What receiving records needs of `createServiceTokenVerifier`. */
export interface RecordVerifier {
  readonly name: string
  verify(token: string, call: ReceivedKafkaRecord): Promise<ServiceCaller>
  refuse(call: { transport: 'kafka'; target: string }, reason: 'malformed', message: string): GuardError
}

export interface ReceivingOptions {
  /** The consumer group. Each group may use a record's token once, at the place where it first read it. */
  readonly group: string
  /**
   * `required` (default): a record without a token is refused. `accepted`: it passes, without a caller. `ignored`:
   * tokens are taken off and not looked at. A token that is present and looked at must be right in any case.
   */
  readonly serviceToken?: 'required' | 'accepted' | 'ignored'
  /** How old a record may be whose time its writer has set (`CreateTime`), in seconds. Default 900. */
  readonly maximumAgeSeconds?: number
}

/**
 * Checks the service token of a record and gives what a handler may see.
 * @throws GuardError `InvalidM2MToken`, `RequiresM2MToken`; `unavailable` when keys or the memory of used tokens cannot
 *   be had, and then the record should be tried again
 */
export async function receiveRecord(
  verifier: RecordVerifier,
  record: KafkaRecord,
  options: ReceivingOptions,
): Promise<KafkaMessage> {
  const { serviceToken = 'required' } = options
  const opened = openRecord(record)
  if (serviceToken === 'ignored' || (serviceToken === 'accepted' && opened.token === undefined)) {
    return { ...opened.record, payload: opened.payload, caller: undefined, m2mPayload: undefined }
  }
  const caller = await verifyRecord(verifier, record, opened, options)
  return { ...opened.record, payload: opened.payload, caller, m2mPayload: caller.claims }
}

/** The caller behind the token of a record that was opened. Throws as `receiveRecord` does. */
export function verifyRecord(
  verifier: RecordVerifier,
  record: KafkaRecord,
  { token, payload }: OpenedRecord,
  { group, maximumAgeSeconds }: ReceivingOptions,
): Promise<ServiceCaller> {
  if (token === undefined) throw tokenRequired(verifier.name)
  if (token === 'unusable') {
    const message = 'The record carries more than one service token, or something else in its place (malformed).'
    throw verifier.refuse({ transport: 'kafka', target: record.topic }, 'malformed', message)
  }
  const { topic, partition, offset, key, value, timestamp, timestampType } = record
  return verifier.verify(token.text, {
    transport: 'kafka',
    topic,
    partition,
    offset,
    group,
    key,
    value,
    carrier: token.carrier,
    ...(token.carrier === 'payload' && payload !== undefined ? { message: payload } : {}),
    timestamp,
    timestampType,
    ...(maximumAgeSeconds === undefined ? {} : { maximumAgeSeconds }),
  })
}

function tokenRequired(realm: string): GuardError {
  const message = 'The record has no service token, and none is taken here without one.'
  return new GuardError({ code: 'RequiresM2MToken', reason: 'missing_credential', message, realm })
}
