import type { GuardedFetchOptions } from '@countersign/outbound'
import { GuardConfigurationError } from './guard-error.ts'

/**
 * How a URL that the operator configured may be fetched: private addresses are his to name, and http only on the
 * machine itself, unless `given` says otherwise. Throws GuardConfigurationError for a URL that cannot be fetched so.
 */
export function fetchRulesFor(url: string, given: GuardedFetchOptions): GuardedFetchOptions {
  const parsed = URL.parse(url)
  if (parsed === null || (parsed.protocol !== 'https:' && parsed.protocol !== 'http:')) {
    throw new GuardConfigurationError(`"${url}" is not an https URL`)
  }
  const allowHttp = given.allowHttp ?? isLoopback(parsed)
  if (parsed.protocol === 'http:' && !allowHttp) {
    throw new GuardConfigurationError(
      `"${url}" is plain http, where anybody on the way could put in keys of his own; use https, or set fetchOptions.allowHttp`,
    )
  }
  return { allowPrivateAddresses: true, ...given, allowHttp }
}

function isLoopback(url: URL): boolean {
  return ['localhost', '127.0.0.1', '[::1]'].includes(url.hostname)
}
