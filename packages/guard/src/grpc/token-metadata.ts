import { serviceTokenHeaders } from '@countersign/tokens'
import type { Metadata } from '@grpc/grpc-js'
import { payloadHeaders } from '../service-token/inbound-payload.ts'

/** What a call carries: a token, none, or something that cannot be one. */
export type CarriedToken = { readonly token: string } | { readonly fault: string } | undefined

/**
 * Takes the service token out of a call's metadata, so that a handler that logs its metadata or passes it on does not
 * do so with the token. A payload goes too: only the guard says what stood in a verified token. Names are lower case
 * by then. HTTP/2 stacks join values that were sent twice with a comma, which no token has in it.
 */
export function takeToken(metadata: Metadata): CarriedToken {
  const carried = carriedToken(metadata)
  for (const name of [...serviceTokenHeaders, ...payloadHeaders]) metadata.remove(name)
  return carried
}

function carriedToken(metadata: Metadata): CarriedToken {
  if (serviceTokenHeaders.some((name) => metadata.get(`${name}-bin`).length > 0)) {
    return { fault: 'The service token belongs into x-m2m-token as text, not into binary metadata.' }
  }
  const values = serviceTokenHeaders.flatMap((name) => metadata.get(name))
  if (values.length === 0) return undefined
  const [token] = values
  if (values.length > 1 || typeof token !== 'string' || token.includes(',')) {
    return { fault: 'The call carries more than one service token.' }
  }
  return { token }
}
