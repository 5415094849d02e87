import { isIPv4 } from 'node:net'
import { groupsOf, normaliseAddress } from './address.ts'

/**
 * What to count a client's address under: an IPv4 address as it is, an IPv6 address as its /64, since whoever has one
 * address of a /64 has them all. Text that is no address is its own key.
 */
export function addressKey(address: string): string {
  const normal = normaliseAddress(address)
  if (normal === undefined || isIPv4(normal)) return normal ?? address
  // Behind a stateless translator (RFC 6052) every IPv4 client has an address of the one /64 64:ff9b::.
  if (/^64:ff9b::(?:[0-9a-f]{1,4}:)?[0-9a-f]{0,4}$/.test(normal)) return normal
  const network = groupsOf(normal)
    .slice(0, 4)
    .map((group) => group.toString(16))
  while (network.at(-1) === '0') network.pop()
  return `${network.join(':')}::/64`
}
