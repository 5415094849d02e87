import { SpiffeError } from './spiffe-error.ts'

/** The code of the refusal, or `accepted`; any other error is a defect and is thrown on. */
export function codeOf(attempt: () => unknown): string {
  try {
    attempt()
    return 'accepted'
  } catch (error) {
    if (error instanceof SpiffeError) return error.code
    throw error
  }
}

/** The message of the refusal, or `accepted`. */
export function messageOf(attempt: () => unknown): string {
  try {
    attempt()
    return 'accepted'
  } catch (error) {
    if (error instanceof SpiffeError) return error.message
    throw error
  }
}
