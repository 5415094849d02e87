import type { LookupAddress } from 'node:dns'
import { type ClientRequest, request as httpRequest, type IncomingMessage } from 'node:http'
import { request as httpsRequest } from 'node:https'
import type { DetailedPeerCertificate } from 'node:tls'
import { boundedBody } from './bounded-body.ts'
import { checkedAddresses, fixedLookup, type LookupRules } from './checked-lookup.ts'
import { OutboundError } from './outbound-error.ts'

export interface GuardedFetchOptions extends LookupRules {
  /** Lets http: URLs pass. Default false. */
  allowHttp?: boolean
  /** Of the body. Default 65,536. */
  maximumBytes?: number
  /** From the start to the last byte, name resolution included. Default 5,000. */
  timeoutMilliseconds?: number
  /** Ends the fetch at once, which then throws the signal's reason. */
  signal?: AbortSignal
  /** PEM certificates to trust instead of the system's. */
  ca?: string | Buffer | readonly string[]
  /**
   * Judges the server's certificate, which already leads to one of `ca`, in the place of the host's name. What it returns
   * refuses the server before anything is sent. For servers that are known by something else than a name, such as a SPIFFE ID.
   */
  checkServerIdentity?: (certificate: DetailedPeerCertificate) => Error | undefined
  headers?: Record<string, string>
  /** Media types to ask for; a body of another type is refused. */
  accept?: readonly string[]
}

export interface GuardedResponse {
  status: number
  headers: Record<string, string>
  body: Buffer
}

export type GuardedFetch = (url: string, options?: GuardedFetchOptions) => Promise<GuardedResponse>

/**
 * GETs a small document from a URL that somebody else may have chosen.
 *
 * The host is resolved once, every address is checked, and the connection goes to exactly the checked ones. Redirects
 * and content codings are refused; size and time are bounded. Resolves for 200, and for 304 when `if-none-match` or
 * `if-modified-since` was sent. Throws OutboundError with `blocked_url`, `blocked_address`, `unreachable`, `timed_out`,
 * `too_large`, `redirected`, `bad_status` or `bad_document`, or what its signal was aborted with.
 */
export async function guardedFetch(url: string, options: GuardedFetchOptions = {}): Promise<GuardedResponse> {
  const target = checkedUrl(url, options)
  const shown = target.origin + target.pathname
  const timeoutMilliseconds = options.timeoutMilliseconds ?? 5_000
  const deadline = new AbortController()
  const timer = setTimeout(() => {
    const message = `${shown} did not answer completely within ${timeoutMilliseconds} ms`
    deadline.abort(new OutboundError('timed_out', message))
  }, timeoutMilliseconds)
  const abort = () => deadline.abort(options.signal?.reason)
  if (options.signal?.aborted) abort()
  options.signal?.addEventListener('abort', abort)
  try {
    const addresses = await unlessAborted(checkedAddresses(target.hostname, shown, options), deadline.signal)
    const request = openRequest(target, addresses, options)
    return await unlessAborted(exchange(request, shown, options), deadline.signal, () => request.destroy())
  } finally {
    clearTimeout(timer)
    options.signal?.removeEventListener('abort', abort)
  }
}

function checkedUrl(text: string, options: GuardedFetchOptions): URL {
  const url = text.length <= 2_048 ? URL.parse(text) : null
  if (url === null) throw new OutboundError('blocked_url', 'the URL is not a URL of at most 2048 characters')
  if (url.username !== '' || url.password !== '') {
    throw new OutboundError('blocked_url', `the URL of ${url.host} holds a user name or password; take it out`)
  }
  if (url.protocol === 'https:' || (url.protocol === 'http:' && options.allowHttp === true)) return url
  throw new OutboundError('blocked_url', `a ${url.protocol} URL cannot be fetched; use https:`)
}

function openRequest(url: URL, addresses: LookupAddress[], options: GuardedFetchOptions): ClientRequest {
  const open = url.protocol === 'https:' ? httpsRequest : httpRequest
  return open(url, {
    method: 'GET',
    // A connection of its own: no pooled socket, proxy or TLS session that another host's check has opened.
    agent: false,
    lookup: fixedLookup(addresses),
    rejectUnauthorized: true,
    insecureHTTPParser: false,
    maxHeaderSize: 16_384,
    ...trustOf(options),
    headers: {
      'user-agent': 'countersign',
      accept: options.accept?.join(', ') ?? '*/*',
      ...lowerCaseNames(options.headers ?? {}),
      'accept-encoding': 'identity',
      host: url.host,
    },
  })
}

function trustOf({ ca, checkServerIdentity }: GuardedFetchOptions) {
  if (ca === undefined) return {}
  const anchors = { ca: typeof ca === 'string' || Buffer.isBuffer(ca) ? ca : [...ca] }
  if (checkServerIdentity === undefined) return anchors
  return {
    ...anchors,
    // An authority may be an intermediate one.
    allowPartialTrustChain: true,
    // Node hands over the chain as well, which its types do not say.
    checkServerIdentity: (_host: string, certificate: object) =>
      checkServerIdentity(certificate as DetailedPeerCertificate),
  }
}

function exchange(request: ClientRequest, shown: string, options: GuardedFetchOptions): Promise<GuardedResponse> {
  return new Promise((fulfil, reject) => {
    const refuse = (error: unknown) => {
      reject(error instanceof OutboundError ? error : transportError(shown, error))
      request.destroy()
    }
    request.on('error', refuse)
    const closedEarly = () => refuse(new Error('closed without an answer'))
    request.on('close', closedEarly)
    request.on('response', (response) => {
      request.off('close', closedEarly)
      readResponse(response, request, shown, options).then(fulfil, refuse)
    })
    request.end()
  })
}

async function readResponse(
  response: IncomingMessage,
  request: ClientRequest,
  shown: string,
  options: GuardedFetchOptions,
): Promise<GuardedResponse> {
  const status = response.statusCode ?? 0
  checkStatus(status, request, shown)
  const headers = flatHeaders(response)
  if (status === 200) checkContent(headers, shown, options)
  const maximumBytes = options.maximumBytes ?? 65_536
  const tooLarge = () => new OutboundError('too_large', `${shown} is larger than ${maximumBytes} bytes`)
  if (Number(headers['content-length'] ?? 0) > maximumBytes) throw tooLarge()
  return { status, headers, body: await boundedBody(response, maximumBytes, tooLarge) }
}

function checkStatus(status: number, request: ClientRequest, shown: string): void {
  const conditional = request.hasHeader('if-none-match') || request.hasHeader('if-modified-since')
  if (status === 200 || (status === 304 && conditional)) return
  if (status >= 300 && status < 400 && status !== 304) {
    throw new OutboundError('redirected', `${shown} redirects (${status}); configure the final URL`, { status })
  }
  throw new OutboundError('bad_status', `${shown} answered ${status} instead of 200`, { status })
}

function checkContent(headers: Record<string, string>, shown: string, options: GuardedFetchOptions): void {
  const coding = (headers['content-encoding'] ?? 'identity').trim().toLowerCase()
  if (coding !== 'identity') {
    // What is small on the wire may be huge once inflated; none was asked for.
    throw new OutboundError('bad_document', `${shown} is content-encoded although identity was asked for`)
  }
  const type = (headers['content-type'] ?? '').split(';', 1)[0]?.trim().toLowerCase() ?? ''
  if (options.accept === undefined || options.accept.includes(type)) return
  throw new OutboundError('bad_document', `${shown} is not served as ${options.accept.join(' or ')}`)
}

function transportError(shown: string, error: unknown): OutboundError {
  const code = (error as { code?: string }).code
  if (code === 'HPE_HEADER_OVERFLOW') {
    return new OutboundError('too_large', `${shown} sent more than 16 KiB of headers`, { cause: error })
  }
  return new OutboundError('unreachable', `${shown} cannot be reached${code ? ` (${code})` : ''}`, { cause: error })
}

function unlessAborted<T>(work: Promise<T>, signal: AbortSignal, stop?: () => void): Promise<T> {
  return new Promise((fulfil, reject) => {
    const abort = () => {
      reject(signal.reason)
      stop?.()
    }
    if (signal.aborted) abort()
    signal.addEventListener('abort', abort, { once: true })
    work.then(fulfil, reject)
  })
}

function flatHeaders(response: IncomingMessage): Record<string, string> {
  const flat: Record<string, string> = Object.create(null)
  for (const [name, value] of Object.entries(response.headers)) {
    if (value !== undefined) flat[name] = Array.isArray(value) ? value.join(', ') : value
  }
  return flat
}

function lowerCaseNames(headers: Record<string, string>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]))
}
