import { inspect } from 'node:util'
import { boundedBody } from '@countersign/outbound/bounded-body'
import { serviceTokenHeaders } from '@countersign/tokens'
import { discard, isRedirect } from '../bounded-request.ts'
import { ClientError } from '../client-error.ts'
import type { ServiceSigner } from './service-signer.ts'
import {
  addressOf,
  bodyNotSignable,
  redirected,
  refuseUnsignable,
  type SigningOptions,
  signCall,
} from './signed-call.ts'

export interface SignedFetchOptions extends SigningOptions {
  fetch?: typeof globalThis.fetch
}

/** A body whose size is not known before it is read, as that of a `Request`, is read up to here. */
const longestRequestBody = 64 * 1024 * 1024

/**
 * A `fetch` that signs each call: method, path, query and the final bytes of the body, for the receiver at the address.
 * Bodies are strings, buffers, URLSearchParams, FormData, Blobs and `Request`s; a stream is `body_not_signable`. No
 * redirect is followed (`redirected`), unless `redirect: 'manual'` hands it to the caller. The token is in no error.
 * @throws ClientError `body_not_signable`, `redirected`, `token_given`, `invalid_target`, and what `fetch` throws
 */
export function createSignedFetch(signer: ServiceSigner, options: SignedFetchOptions = {}): typeof globalThis.fetch {
  const send = options.fetch ?? ((input, init) => globalThis.fetch(input, init))
  return async (input, init) => {
    if (isStream(init?.body)) throw bodyNotSignable('a stream')
    const request = new Request(input instanceof Request ? input : String(input), init)
    const url = addressOf(new URL(request.url))
    refuseUnsignable(url, (name) => request.headers.get(name) ?? undefined)
    const { signal } = request
    const content = bytesOf(init?.body) ?? (await contentOf(request))
    signal.throwIfAborted()

    const method = request.method.toUpperCase()
    const token = signCall(signer, { url, method, content: content ?? new Uint8Array() }, options)
    const headers = new Headers(request.headers)
    headers.set(options.header ?? serviceTokenHeaders[0], token)
    const final = { ...init, method, headers, body: content, redirect: 'manual' as const }
    const response = await attempt().catch((error) => {
      throw withoutToken(error, token, url)
    })
    const isHandedOver = request.redirect === 'manual' && !response.redirected
    if (isHandedOver || (!response.redirected && !isRedirect(response))) return response
    discard(response)
    throw redirected(url, method, response.status)

    async function attempt(): Promise<Response> {
      if (!(input instanceof Request)) return send(url.href, final)
      return send(new Request(request.url === url.href ? request : url, final))
    }
  }
}

/** A copy of what needs no reading: most bodies are such. */
function bytesOf(body: unknown): Buffer<ArrayBuffer> | undefined {
  if (typeof body === 'string') return Buffer.from(body)
  if (body instanceof Uint8Array) return Buffer.from(body)
  return undefined
}

/** The bytes as they will be sent, null where there is no body. */
async function contentOf(request: Request): Promise<Buffer<ArrayBuffer> | null> {
  if (request.body === null) return null
  const tooLarge = () => bodyNotSignable(`a body of more than ${longestRequestBody} bytes`)
  return boundedBody(request.body, longestRequestBody, tooLarge)
}

function isStream(body: unknown): boolean {
  if (typeof body !== 'object' || body === null || ArrayBuffer.isView(body)) return false
  return body instanceof ReadableStream || Symbol.asyncIterator in body || 'pipe' in body
}

/** What a fetch that was passed in throws may hold the request, and with it the token. */
function withoutToken(error: unknown, token: string, url: URL): unknown {
  const text = inspect(error, {
    depth: 12,
    showHidden: true,
    maxStringLength: null,
    maxArrayLength: null,
    breakLength: Infinity,
  })
  if (!text.includes(token)) return error
  return new ClientError(
    'unreachable',
    `${url.origin} cannot be reached; what its fetch threw held the token and is left out`,
  )
}
