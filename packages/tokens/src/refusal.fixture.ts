import { TokenError, type TokenErrorCode } from './token-error.ts'

/** The code, and after a slash the part, of the TokenError that the work throws. */
export function refusal(work: () => unknown): TokenErrorCode | `${TokenErrorCode}/${string}` | 'accepted' {
  try {
    work()
  } catch (error) {
    if (!(error instanceof TokenError)) throw error
    return error.part === undefined ? error.code : `${error.code}/${error.part}`
  }
  return 'accepted'
}

/** A compact token of any three texts, encoded as they are. */
export function compact(header: unknown, payload: unknown, signature: Uint8Array = Buffer.from('signature')): string {
  return [encode(header), encode(payload), Buffer.from(signature).toString('base64url')].join('.')
}

function encode(part: unknown): string {
  const bytes = part instanceof Uint8Array ? part : typeof part === 'string' ? part : JSON.stringify(part)
  return Buffer.from(bytes as string).toString('base64url')
}
