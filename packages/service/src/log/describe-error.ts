import { withoutTokens } from './without-tokens.ts'

interface DescribedError {
  readonly type: string
  readonly message: string
  readonly code?: string
  readonly stack?: string
  readonly cause?: DescribedError
}

/** An error for the log: its sentence, place and causes, without anything else that hangs on it and without tokens. */
export function describeError(error: unknown, depth = 0): DescribedError {
  if (!(error instanceof Error)) return { type: typeof error, message: withoutTokens(String(error)).slice(0, 1_000) }
  const { code } = error as { code?: unknown }
  return {
    type: error.name,
    message: withoutTokens(error.message).slice(0, 4_000),
    ...(typeof code === 'string' || typeof code === 'number' ? { code: String(code) } : {}),
    ...(error.stack === undefined ? {} : { stack: withoutTokens(error.stack).slice(0, 8_000) }),
    ...(causeOf(error) === undefined || depth >= 4 ? {} : { cause: describeError(causeOf(error), depth + 1) }),
  }
}

/** What an error comes from in the end, in a word or a sentence: `ECONNREFUSED`. */
export function reasonOf(error: unknown): string {
  const cause = causeOf(error)
  if (cause !== undefined) return reasonOf(cause)
  const { message, code } = error as Error & { code?: unknown }
  return withoutTokens(String(systemCode.test(String(code)) ? code : message || code || 'it did not answer'))
}

const systemCode = /^E[A-Z_]+$/

/** Of several that an error sums up, the first stands for all. */
function causeOf(error: unknown): unknown {
  const { cause, errors } = error as { cause?: unknown; errors?: unknown }
  return cause ?? (Array.isArray(errors) ? errors[0] : undefined)
}
