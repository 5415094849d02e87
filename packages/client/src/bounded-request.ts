import { boundedBody } from '@countersign/outbound/bounded-body'
import { ClientError } from './client-error.ts'

export interface BoundedAnswer {
  status: number
  headers: Headers
  body: Buffer
}

export interface BoundedRequest {
  /** What is asked, for messages: 'the token server'. */
  name: string
  method: 'GET' | 'POST'
  headers?: Record<string, string>
  body?: string
  signal: AbortSignal
  fetch: typeof globalThis.fetch
}

const maximumBodyBytes = 65_536

/**
 * One exchange with the authorization server: no redirect is followed (a 307 would carry the secret along),
 * the body is bounded after decompression, and nothing of the request gets into an error.
 * @throws ClientError `redirected`, `unreachable`, `timed_out`, `bad_answer`
 */
export async function boundedRequest(url: string, request: BoundedRequest): Promise<BoundedAnswer> {
  const { name, method, headers, body, signal } = request
  try {
    const response = await request.fetch(url, { method, headers, body, signal, redirect: 'manual' })
    if (isRedirect(response)) {
      discard(response)
      throw new ClientError(
        'redirected',
        `${name} answered with a redirect, which is not followed because it could lead the secret elsewhere; ` +
          'configure the final address as issuer or tokenEndpoint',
        { status: response.status },
      )
    }
    const { status, headers: answered } = response
    const content = await boundedBody(response.body, maximumBodyBytes, () => tooLarge(name, status))
    return { status, headers: answered, body: content }
  } catch (error) {
    throw error instanceof ClientError ? error : networkError(error, name, new URL(url).origin)
  }
}

/** Browsers hide a redirect as status 0; Node shows it as it is. */
export function isRedirect(response: Response): boolean {
  return response.type === 'opaqueredirect' || [301, 302, 303, 307, 308].includes(response.status)
}

/** Gives the connection back without reading the rest. */
export function discard(response: Response): void {
  response.body?.cancel().catch(() => {})
}

function tooLarge(name: string, status: number): ClientError {
  return new ClientError(
    'bad_answer',
    `${name} sent more than ${maximumBodyBytes} bytes; check that issuer points at the token server`,
    { status },
  )
}

function networkError(error: unknown, name: string, origin: string): ClientError {
  if (error instanceof Error && (error.name === 'TimeoutError' || error.name === 'AbortError')) {
    return new ClientError(
      'timed_out',
      `${name} at ${origin} did not answer in time; check that it is up, or raise timeoutMilliseconds`,
    )
  }
  const code = systemCode(error)
  return new ClientError(
    'unreachable',
    `${name} at ${origin} cannot be reached${code}; check the address, the network and the certificate`,
  )
}

/** Only the code (`ECONNREFUSED`): messages of a network stack may quote headers. */
function systemCode(error: unknown): string {
  const cause = error instanceof Error ? (error.cause ?? error) : error
  const code = typeof cause === 'object' && cause !== null && 'code' in cause ? cause.code : undefined
  return typeof code === 'string' && /^[A-Z][A-Z0-9_]{1,48}$/.test(code) ? ` (${code})` : ''
}
