import { discard, isRedirect } from './bounded-request.ts'
import type { CountersignClient } from './client.ts'
import { ClientError } from './client-error.ts'

const maximumRedirects = 5

/**
 * Wraps a `fetch`. The origin of the address alone decides whether a token goes along: never to an origin that
 * is not declared, never in place of an Authorization header that the caller set, never across a redirect to
 * another origin.
 */
export function createFetch(
  plainFetch: typeof globalThis.fetch,
  tokenFor: CountersignClient['tokenFor'],
): typeof globalThis.fetch {
  return async (input, init) => {
    const address = input instanceof Request ? input : String(input)
    const build = () => new Request(address, { ...init, redirect: 'manual' })
    const isReplayable = !hasStream(address, init)
    const request = build()
    const { url, signal } = request
    const token = request.headers.has('authorization') ? undefined : await tokenFor(url, { signal })
    const redirect = init?.redirect ?? (input instanceof Request ? input.redirect : 'follow')
    if (token === undefined) return plainFetch(new Request(request, { redirect }))

    const first = await send(request, token.accessToken)
    if (!isReplayable || !refusesToken(first)) return first
    const other = await tokenFor(url, { refused: token.accessToken, signal }).catch(() => undefined)
    if (other === undefined) return first
    discard(first)
    return send(build(), other.accessToken)

    async function send(ready: Request, accessToken: string): Promise<Response> {
      ready.headers.set('authorization', `Bearer ${accessToken}`)
      let response = await plainFetch(ready)
      for (let count = 0; redirect !== 'manual' && isRedirect(response); count++) {
        const next = redirect === 'follow' && count < maximumRedirects ? sameOriginTarget(ready, response) : undefined
        discard(response)
        if (next === undefined) throw refuseRedirect(ready, response)
        const { method, headers } = ready
        response = await plainFetch(new Request(next, { ...init, method, headers, signal, redirect: 'manual' }))
      }
      return response
    }
  }
}

/** True where the API says that this token is no longer good (RFC 6750 section 3.1), which a new one may mend. */
export function refusesToken(answer: { status: number; headers: Headers }): boolean {
  const challenge = answer.status === 401 ? answer.headers.get('www-authenticate') : null
  return challenge !== null && /\bbearer\b/i.test(challenge) && /\berror\s*=\s*"?invalid_token\b/i.test(challenge)
}

/** A stream can be sent once only. */
function hasStream(address: Request | string, init: RequestInit | undefined): boolean {
  const body = init?.body ?? (typeof address === 'string' ? undefined : address.body)
  return typeof body === 'object' && body !== null && (body instanceof ReadableStream || Symbol.asyncIterator in body)
}

function sameOriginTarget(request: Request, response: Response): string | undefined {
  const location = response.headers.get('location')
  const isSafe = request.method === 'GET' || request.method === 'HEAD'
  if (!isSafe || location === null || !URL.canParse(location, request.url)) return undefined
  const target = new URL(location, request.url)
  return target.origin === new URL(request.url).origin ? target.href : undefined
}

function refuseRedirect(request: Request, response: Response): ClientError {
  const location = response.headers.get('location')
  const target = location !== null && URL.canParse(location, request.url) ? new URL(location, request.url).origin : '?'
  return new ClientError(
    'redirected',
    `${new URL(request.url).origin} answered ${request.method} with a redirect to ${target}, which is not followed ` +
      "with a token; call the final address itself, or pass redirect: 'manual' and decide",
    { status: response.status },
  )
}
