import { parseJson } from '../json/parse-json.ts'
import { TokenError } from '../token-error.ts'

/**
 * The JSON object that a record with its token inside holds. As strict as tokens are: a member given twice, or an
 * integer that is another one as a double, would be signed as one thing and read as another. `maximumBytes` is 1 MiB by
 * default. Throws `malformed_json`.
 */
export function parseTokenMessage(value: Uint8Array, limits: { maximumBytes?: number } = {}): object {
  const bytes = Buffer.from(value.buffer, value.byteOffset, value.byteLength)
  const message = parseJson(bytes, { ...limits, exactIntegers: true })
  if (typeof message === 'object' && message !== null && !Array.isArray(message)) return message
  throw new TokenError(
    'malformed_json',
    'the message is not a JSON object; such a record carries its token in a header',
  )
}
