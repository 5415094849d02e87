import { isIPv4 } from 'node:net'
import { networkAddress, normaliseAddress } from './address.ts'

/**
 * What to count a client's address under: an IPv4 address as it is, an IPv6 address as its /64, since whoever has one
 * address of a /64 has them all. Text that is no address is its own key.
 */
export function addressKey(address: string): string {
  const normal = normaliseAddress(address)
  if (normal === undefined || isIPv4(normal)) return normal ?? address
  const inNat64 = networkAddress(normal, 96, 'ipv6') === '64:ff9b::'
  // Behind a stateless translator (RFC 6052) every IPv4 client has an address of the one /64 64:ff9b::.
  return inNat64 ? normal : `${networkAddress(normal, 64, 'ipv6')}/64`
}
