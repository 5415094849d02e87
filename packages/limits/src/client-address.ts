import type { IncomingHttpHeaders } from 'node:http'
import { isIPv4, isIPv6 } from 'node:net'
import { createAddressList, normaliseAddress, parseCidr } from './address.ts'
import { LimitsError } from './limits-error.ts'

export interface ClientAddressRules {
  /** Addresses and networks of the proxies in front, such as `10.0.0.0/8`. Empty: X-Forwarded-For is not looked at. */
  trustedProxies: readonly string[]
}

export interface AddressedRequest {
  socket: { remoteAddress?: string | undefined }
  headers: IncomingHttpHeaders
}

/**
 * Tells where a request came from: the socket's address, or behind trusted proxies the right-most address of
 * X-Forwarded-For that is not one of them. What stands left of that anybody may have written, and is not looked at.
 * The function returns a normalised address, or `unknown` when the socket has none.
 * Throws LimitsError `invalid_address` for rules that are no networks or would trust everybody.
 */
export function createClientAddress(rules: ClientAddressRules): (request: AddressedRequest) => string {
  for (const cidr of rules.trustedProxies) {
    if (parseCidr(cidr).prefix > 0) continue
    throw new LimitsError('invalid_address', `trusting ${cidr} lets every caller choose its address; name your proxies`)
  }
  const trusted = createAddressList(rules.trustedProxies)
  return ({ socket, headers }) => {
    const peer = normaliseAddress(socket.remoteAddress ?? '')
    if (peer === undefined) return 'unknown'
    return trusted.has(peer) ? (forwardedAddress(headers['x-forwarded-for'], trusted) ?? peer) : peer
  }
}

function forwardedAddress(
  header: string | string[] | undefined,
  trusted: { has(address: string): boolean },
): string | undefined {
  const hops = (Array.isArray(header) ? header.join(',') : (header ?? '')).split(',')
  let address: string | undefined
  for (const hop of hops.slice(-mostHops).reverse()) {
    address = hopAddress(hop.trim())
    if (address === undefined || !trusted.has(address)) return address
  }
  return address
}

const mostHops = 32

/** An address as proxies write it: bare, or with a port (`192.0.2.1:443`, `[2001:db8::1]:443`). */
function hopAddress(hop: string): string | undefined {
  const [, inBrackets, beforePort] = /^(?:\[([0-9a-fA-F:.]{2,45})\]|([0-9.]{7,15}))(?::\d{1,5})?$/.exec(hop) ?? []
  if (inBrackets !== undefined) return isIPv6(inBrackets) ? normaliseAddress(inBrackets) : undefined
  if (beforePort !== undefined) return isIPv4(beforePort) ? beforePort : undefined
  return hop.includes('%') ? undefined : normaliseAddress(hop)
}
