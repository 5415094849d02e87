import { hash } from 'node:crypto'
import { canonicalJson } from '../json/canonical-json.ts'
import { quoted, TokenError } from '../token-error.ts'
import { serviceTokenFields } from './token-places.ts'

/** What a service token is bound to: one call, of one transport. A digest is as `contentDigest` writes it. */
export type CallBinding =
  | { readonly transport: 'http'; readonly method: string; readonly target: string; readonly digest: string }
  | { readonly transport: 'grpc'; readonly method: string; readonly digest: string | null }
  | {
      readonly transport: 'kafka'
      readonly topic: string
      readonly key: string | null
      readonly digest: string | null
    }

/** `sha-256:` and the SHA-256 of the bytes as base64url. */
export function contentDigest(content: Uint8Array): string {
  return `sha-256:${hash('sha256', content, 'base64url')}`
}

/**
 * An HTTP request. `target` is path and query as they stand on the wire, or the whole URL of an absolute-form; nothing
 * in it is decoded, ordered or normalised. `content` is the body without transfer coding, with its content coding
 * (RFC 9110 section 6.4), empty where there is none. Throws `binding_mismatch` for a method that HTTP does not have.
 */
export function httpBinding(call: { method: string; target: string; content: Uint8Array }): CallBinding {
  return {
    transport: 'http',
    method: upperCaseMethod(call.method),
    target: pathAndQuery(call.target),
    digest: contentDigest(call.content),
  }
}

/** A gRPC call to `/pkg.Service/Method`. `message`: the one request message's bytes, null where requests are streamed. */
export function grpcBinding(call: { method: string; message: Uint8Array | null }): CallBinding {
  return { transport: 'grpc', method: call.method, digest: digestOrNull(call.message) }
}

/** A Kafka record with its token in a header: bound to the value's very bytes, null for a tombstone. */
export function kafkaRecordBinding(record: {
  topic: string
  key: Uint8Array | null
  value: Uint8Array | null
}): CallBinding {
  return kafka(record.topic, record.key, digestOrNull(record.value))
}

/**
 * A Kafka record that is a JSON object with its token inside: bound to the object's canonical JSON (RFC 8785) without
 * the token's own fields. Throws `binding_mismatch` for what has no canonical JSON, and for arrays.
 */
export function kafkaMessageBinding(record: { topic: string; key: Uint8Array | null; message: object }): CallBinding {
  return kafka(record.topic, record.key, contentDigest(Buffer.from(canonicalMessage(record.message))))
}

/** A copy of the message without `M2MToken`, `m2mToken` and `m2mPayload`. */
export function withoutTokenFields(message: object): object {
  const rest: Record<string, unknown> = { ...message }
  for (const name of [...serviceTokenFields, 'm2mPayload']) delete rest[name]
  return rest
}

function kafka(topic: string, key: Uint8Array | null, digest: string | null): CallBinding {
  return { transport: 'kafka', topic, key: digestOrNull(key), digest }
}

function digestOrNull(bytes: Uint8Array | null): string | null {
  return bytes === null ? null : contentDigest(bytes)
}

function canonicalMessage(message: object): string {
  if (Array.isArray(message))
    throw new TokenError('binding_mismatch', 'a message with a token in it is an object', 'digest')
  try {
    return canonicalJson(withoutTokenFields(message))
  } catch (error) {
    throw new TokenError('binding_mismatch', (error as Error).message, 'digest')
  }
}

const httpToken = /^[\w!#$%&'*+.^`|~-]{1,64}$/

/** Only ASCII is turned: `ſ` would become `S`, and another method the one that was signed. */
function upperCaseMethod(method: string): string {
  if (httpToken.test(method)) return method.toUpperCase()
  throw new TokenError('binding_mismatch', `${quoted(method)} is not an HTTP method`, 'method')
}

const schemeAndAuthority = /^[A-Za-z][A-Za-z0-9+.-]*:\/\/[^/?#]*/

function pathAndQuery(target: string): string {
  const rest = target.replace(schemeAndAuthority, '')
  return rest === '' || rest.startsWith('?') ? `/${rest}` : rest
}
