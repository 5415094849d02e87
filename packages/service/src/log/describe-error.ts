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
    ...(error.cause === undefined || depth >= 4 ? {} : { cause: describeError(error.cause, depth + 1) }),
  }
}
