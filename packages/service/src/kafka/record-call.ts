import { GuardError } from '@countersign/guard'
import { type KafkaRecord, type OpenedRecord, openRecord, verifyRecord } from '@countersign/guard/kafka'
import { parseJson } from '@countersign/tokens'
import { type Admission, admit, type Credentials } from '../admission.ts'
import type { Operation, OperationCall } from '../operation.ts'
import { checkedTenant } from '../tenant/named-tenants.ts'
import type { TransportRuntime } from '../transport.ts'

/** A record that was let in, on its way to its operation. */
export interface RecordCall {
  readonly operation: Operation
  readonly call: OperationCall
  readonly startedAt: number
}

/**
 * Decides who calls by the operation's row of the decision table, and makes the call.
 * Rejects with GuardError, or with Problem for a tenant.
 */
export async function admitRecord(
  operation: Operation,
  record: KafkaRecord,
  runtime: TransportRuntime,
  { group, signal }: { group: string; signal: AbortSignal },
): Promise<RecordCall> {
  const startedAt = performance.now()
  const opened = openRecord(record)
  const credentials = recordCredentials(record, opened, runtime, group)
  const admission = await admit(operation.authOptions, credentials, runtime.admission)
  return { operation, call: { ...callOf(operation, opened, admission), signal }, startedAt }
}

function recordCredentials(
  record: KafkaRecord,
  opened: OpenedRecord,
  { verifier, settings, admission }: TransportRuntime,
  group: string,
): Credentials {
  return {
    carriesServiceToken: () => opened.token !== undefined,
    async verifyServiceToken() {
      if (verifier === undefined) throw new Error('a service token was to be verified, and there is no verifier')
      return verifyRecord(verifier, record, opened, { group })
    },
    sessionToken() {
      const token = opened.payload?.sessionToken
      if (token === undefined || (typeof token === 'string' && token !== '')) return token
      const message = 'The sessionToken of the message is not a text.'
      throw new GuardError({
        code: 'invalid_request',
        reason: 'malformed_session',
        message,
        realm: admission.tenants.realm,
      })
    },
    namedTenants: () =>
      opened.record.headers
        .filter(([name]) => name.toLowerCase() === settings.tenantHeader)
        .map(([, value]) => checkedTenant(value?.toString() ?? '')),
  }
}

function callOf(operation: Operation, { record, payload }: OpenedRecord, admission: Admission): OperationCall {
  const message = payload === undefined ? undefined : withoutSession(payload)
  if (operation.kind === 'businessApi') return { transport: 'kafka', admission, input: message }
  return {
    transport: 'kafka',
    admission,
    request: {
      topic: record.topic,
      headers: headersOf(record),
      query: {},
      params: {},
      body: message ?? bodyOf(record.value),
      rawBody: record.value ?? Buffer.alloc(0),
    },
  }
}

/** A credential is for whoever checks it, and not for logs of inputs. */
function withoutSession({ sessionToken: _, ...message }: Readonly<Record<string, unknown>>): object {
  return message
}

function headersOf({ headers }: KafkaRecord): Record<string, string | string[]> {
  const named: Record<string, string | string[]> = Object.create(null)
  for (const [given, bytes] of headers) {
    const name = given.toLowerCase()
    const value = bytes?.toString() ?? ''
    const known = named[name]
    named[name] = known === undefined ? value : [...(Array.isArray(known) ? known : [known]), value]
  }
  return named
}

/** JSON that is no object as its value, a tombstone as undefined, anything else as bytes. */
function bodyOf(value: Buffer | null): unknown {
  if (value === null) return undefined
  try {
    return parseJson(value)
  } catch {
    return value
  }
}
