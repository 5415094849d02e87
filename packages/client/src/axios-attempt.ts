import {
  type AxiosError,
  type AxiosInstance,
  type AxiosResponse,
  type InternalAxiosRequestConfig,
  isAxiosError,
} from 'axios'

export type Outcome = { response: AxiosResponse; error?: undefined } | { response?: AxiosResponse; error: unknown }

/** Waits, and puts the request as the caller made it in place of the copy that carries the token. */
export async function outcomeOf(sent: Promise<AxiosResponse>, config: InternalAxiosRequestConfig): Promise<Outcome> {
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

export function absoluteUrl(instance: AxiosInstance, config: InternalAxiosRequestConfig): URL | undefined {
  const text = instance.getUri(config)
  return URL.canParse(text) ? new URL(text) : undefined
}

/** A stream can be sent once only. */
export function isStream(data: unknown): boolean {
  return typeof data === 'object' && data !== null && ('pipe' in data || data instanceof ReadableStream)
}

export function isRedirect({ status }: AxiosResponse): boolean {
  return [301, 302, 303, 307, 308].includes(status)
}
