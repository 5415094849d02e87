import { CliError } from './cli-error.ts'

/** `fetch` that follows no redirect and says in words what went wrong on the way. */
export async function reach(url: string, init: RequestInit & { timeoutMilliseconds?: number } = {}): Promise<Response> {
  const { timeoutMilliseconds = 30_000, ...rest } = init
  const limit = timeoutMilliseconds === 0 ? [] : [AbortSignal.timeout(timeoutMilliseconds)]
  const signal = AbortSignal.any([...(rest.signal ? [rest.signal] : []), ...limit])
  try {
    return await fetch(url, { ...rest, redirect: 'manual', signal })
  } catch (error) {
    if (rest.signal?.aborted) throw error
    throw unreachable(new URL(url).origin, error)
  }
}

/** What a failed connection means, and its cure. */
export function unreachable(origin: string, error: unknown): CliError {
  return new CliError(unreachableSentence(origin, codeOf(error)))
}

/** @param code of the system or the TLS library, such as ECONNREFUSED */
export function unreachableSentence(origin: string, code: string): string {
  if (code === 'ECONNREFUSED') {
    return `nothing answers at ${origin}; start the server (countersign dev), or name another one with --url`
  }
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN')
    return `the host of ${origin} cannot be found; check --url for a typo`
  if (code === 'TimeoutError')
    return `${origin} did not answer in time; check the network, or the server with: countersign doctor`
  if (code.startsWith('ERR_TLS') || code.includes('CERT') || code.startsWith('UNABLE_TO_')) {
    return `the certificate of ${origin} is not trusted (${code}); name its CA with NODE_EXTRA_CA_CERTS=FILE, or mend the certificate`
  }
  return `${origin} cannot be reached (${code}); check --url and the network`
}

function codeOf(error: unknown): string {
  for (let current = error; current instanceof Error; current = current.cause) {
    if (current.name === 'TimeoutError') return 'TimeoutError'
    if (current instanceof AggregateError && current.errors[0]) return codeOf(current.errors[0])
    if ('code' in current && typeof current.code === 'string') return current.code
  }
  return error instanceof Error ? error.name : 'unknown'
}
