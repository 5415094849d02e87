import { parseJson, TokenError } from '@countersign/tokens'
import { Problem } from '../problem.ts'
import { collected, pairsOf } from './query.ts'

type Headers = Readonly<Record<string, string | string[] | undefined>>

/** The JSON object that is the content of a call to a business API; `{}` where there is none. */
export function jsonObject(content: Buffer, headers: Headers): Record<string, unknown> {
  if (content.length === 0) return {}
  refuseCoding(headers)
  if (!isJson(mediaType(headers)))
    throw new Problem(415, 'unsupported_media_type', 'send the content as application/json')
  const value = strictJson(content)
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>
  throw new Problem(422, 'invalid_input', 'the content must be a JSON object')
}

/** The content for an edge function: JSON and forms as values, texts as text, everything else as bytes. */
export function edgeBody(content: Buffer, headers: Headers): unknown {
  if (content.length === 0) return undefined
  const coding = headers['content-encoding']
  if (coding !== undefined && coding !== 'identity') return content
  const type = mediaType(headers)
  if (isJson(type)) return strictJson(content)
  if (type === 'application/x-www-form-urlencoded') return collected(pairsOf(content.toString('utf8')))
  return type.startsWith('text/') ? content.toString('utf8') : content
}

function strictJson(content: Buffer): unknown {
  try {
    return parseJson(content, { maximumBytes: content.length, maximumDepth: 64 })
  } catch (error) {
    if (!(error instanceof TokenError)) throw error
    throw new Problem(400, 'malformed_json', `the content is not JSON: ${error.message}`)
  }
}

/** What was signed is the content as it was sent, and that is what the handler gets. */
function refuseCoding(headers: Headers): void {
  const coding = headers['content-encoding']
  if (coding !== undefined && coding !== 'identity')
    throw new Problem(415, 'unsupported_coding', 'send the content without a content-encoding')
}

function mediaType(headers: Headers): string {
  return String(headers['content-type'] ?? '')
    .split(';', 1)[0]!
    .trim()
    .toLowerCase()
}

function isJson(type: string): boolean {
  return type === 'application/json' || /^application\/[a-z0-9.-]+\+json$/.test(type)
}
