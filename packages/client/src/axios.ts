import {
  type AxiosAdapter,
  type AxiosError,
  AxiosHeaders,
  type AxiosInstance,
  type AxiosResponse,
  getAdapter,
  type InternalAxiosRequestConfig,
  isAxiosError,
} from 'axios'
import { refusesToken } from './authorized-fetch.ts'
import type { CountersignClient } from './client.ts'
import { ClientError } from './client-error.ts'

/**
 * Makes an axios instance attach the client's tokens, by the same rules as `client.fetch`. It does so at the last
 * moment, on a copy of the request, so that no token stands in `error.config` or `response.config` where loggers look.
 * With a token no redirect is followed (`redirected`).
 * @returns a function that undoes it
 */
export function attachToAxios(instance: AxiosInstance, client: Pick<CountersignClient, 'tokenFor'>): () => void {
  const id = instance.interceptors.request.use((config) => {
    const inner = config.adapter ?? instance.defaults.adapter!
    config.adapter = (final) => sendAuthorized(final, instance, getAdapter(inner, final), client)
    return config
  })
  return () => instance.interceptors.request.eject(id)
}

async function sendAuthorized(
  config: InternalAxiosRequestConfig,
  instance: AxiosInstance,
  send: AxiosAdapter,
  client: Pick<CountersignClient, 'tokenFor'>,
): Promise<AxiosResponse> {
  const url = absoluteUrl(instance, config)
  if (url === undefined || hasOwnCredential(config, url)) return send(config)
  const signal = config.signal as AbortSignal | undefined
  const token = await client.tokenFor(url.href, { signal })
  if (token === undefined) return send(config)

  const first = await attempt(token.accessToken)
  if (!refuses(first) || isStream(config.data)) return settle(first, config)
  const other = await client.tokenFor(url.href, { refused: token.accessToken, signal }).catch(() => undefined)
  if (other === undefined) return settle(first, config)
  discard(first)
  return settle(await attempt(other.accessToken), config)

  // The address that the decision was made for is the one that is used: nothing is left to be combined later.
  function attempt(accessToken: string): Promise<Outcome> {
    const headers = new AxiosHeaders(config.headers)
    headers.set('Authorization', `Bearer ${accessToken}`)
    const pinned = { url: url!.href, baseURL: undefined, params: undefined, headers }
    return outcomeOf(send({ ...config, ...pinned, maxRedirects: 0 }), config)
  }
}

type Outcome = { response: AxiosResponse; error?: undefined } | { response?: AxiosResponse; error: unknown }

/** Waits, and puts the request as the caller made it in place of the copy that carries the token. */
async function outcomeOf(sent: Promise<AxiosResponse>, config: InternalAxiosRequestConfig): Promise<Outcome> {
  try {
    return { response: withoutToken(await sent, config) }
  } catch (error) {
    if (!isAxiosError(error)) return { error }
    if (error.response) withoutToken(error.response, config)
    return { error: withoutToken(error, config), response: error.response }
  }
}

function withoutToken<Holder extends AxiosResponse | AxiosError>(
  holder: Holder,
  config: InternalAxiosRequestConfig,
): Holder {
  holder.config = config
  // Node's request object holds the header as text; it stays reachable but is not printed.
  Object.defineProperty(holder, 'request', { value: holder.request, enumerable: false, configurable: true })
  return holder
}

function settle({ response, error }: Outcome, config: InternalAxiosRequestConfig): AxiosResponse {
  const isRedirect = response !== undefined && [301, 302, 303, 307, 308].includes(response.status)
  if (isRedirect && config.maxRedirects !== 0) {
    throw new ClientError(
      'redirected',
      'the API answered with a redirect, which is not followed with a token; call the final address itself, ' +
        'or set maxRedirects: 0 and decide',
      { status: response.status },
    )
  }
  if (error !== undefined) throw error
  return response!
}

function refuses({ response }: Outcome): boolean {
  if (response === undefined) return false
  const challenge = AxiosHeaders.from(response.headers as AxiosHeaders).get('www-authenticate')
  const headers = new Headers(challenge ? { 'www-authenticate': String(challenge) } : {})
  return refusesToken({ status: response.status, headers })
}

function absoluteUrl(instance: AxiosInstance, config: InternalAxiosRequestConfig): URL | undefined {
  const text = instance.getUri(config)
  return URL.canParse(text) ? new URL(text) : undefined
}

function hasOwnCredential(config: InternalAxiosRequestConfig, url: URL): boolean {
  return config.headers.has('Authorization') || config.auth !== undefined || url.username !== '' || url.password !== ''
}

/** A stream can be sent once only. */
function isStream(data: unknown): boolean {
  return typeof data === 'object' && data !== null && ('pipe' in data || data instanceof ReadableStream)
}

function discard({ response }: Outcome): void {
  const body = response?.data as { destroy?: unknown; cancel?: unknown } | undefined
  if (typeof body?.destroy === 'function') body.destroy()
  else if (body instanceof ReadableStream) void body.cancel()
}
