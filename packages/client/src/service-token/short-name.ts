import { serviceName, serviceShortName, TokenError } from '@countersign/tokens'

/** `order` for `order` and `order-service`; undefined for what is no name of a service. */
export function shortNameOf(name: unknown): string | undefined {
  if (typeof name !== 'string') return undefined
  try {
    return serviceShortName(serviceName(name))
  } catch (error) {
    if (error instanceof TokenError) return undefined
    throw error
  }
}
