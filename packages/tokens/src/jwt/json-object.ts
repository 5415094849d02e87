import { parseJson } from '../json/parse-json.ts'
import { TokenError } from '../token-error.ts'

/** The JSON object in one part of a token; `what` names the part in messages. Throws `malformed_token`. */
export function readJsonObject(bytes: Buffer, what: string): Record<string, unknown> {
  const value = parse(bytes, what)
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>
  throw new TokenError('malformed_token', `${what} is not a JSON object`)
}

function parse(bytes: Buffer, what: string): unknown {
  try {
    return parseJson(bytes, { maximumDepth: 16 })
  } catch (error) {
    throw new TokenError('malformed_token', `${what}: ${(error as Error).message}`)
  }
}
