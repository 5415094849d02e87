import { GuardError } from '../guard-error.ts'

/** `accepted`, or the reason of the refusal; `unavailable:` before it where nothing is said of the token. */
export async function reasonOf(work: Promise<unknown> | (() => unknown)): Promise<string> {
  const error = await refusalOf(work)
  if (error === undefined) return 'accepted'
  return error.code === 'unavailable' ? `unavailable:${error.reason}` : error.reason
}

export async function refusalOf(work: Promise<unknown> | (() => unknown)): Promise<GuardError | undefined> {
  try {
    await (typeof work === 'function' ? work() : work)
    return undefined
  } catch (error) {
    if (error instanceof GuardError) return error
    throw error
  }
}
