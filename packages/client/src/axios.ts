import { serviceTokenHeaders } from '@countersign/tokens'
import {
  type AxiosAdapter,
  AxiosHeaders,
  type AxiosInstance,
  type AxiosResponse,
  getAdapter,
  type InternalAxiosRequestConfig,
} from 'axios'
import { refusesToken } from './authorized-fetch.ts'
import { absoluteUrl, isRedirect, isStream, type Outcome, outcomeOf } from './axios-attempt.ts'
import type { CountersignClient } from './client.ts'
import { ClientError } from './client-error.ts'

export { signAxios } from './service-token/sign-axios.ts'

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
  // A service token that came along is used up by the first attempt.
  const isOnce = isStream(config.data) || serviceTokenHeaders.some((name) => config.headers.has(name))
  if (!refuses(first) || isOnce) return settle(first, config)
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

function settle({ response, error }: Outcome, config: InternalAxiosRequestConfig): AxiosResponse {
  if (response !== undefined && isRedirect(response) && config.maxRedirects !== 0) {
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

function hasOwnCredential(config: InternalAxiosRequestConfig, url: URL): boolean {
  return config.headers.has('Authorization') || config.auth !== undefined || url.username !== '' || url.password !== ''
}

function discard({ response }: Outcome): void {
  const body = response?.data as { destroy?: unknown; cancel?: unknown } | undefined
  if (typeof body?.destroy === 'function') body.destroy()
  else if (body instanceof ReadableStream) void body.cancel()
}
