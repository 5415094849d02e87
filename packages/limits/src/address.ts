import { BlockList, isIPv4, isIPv6, SocketAddress } from 'node:net'
import { LimitsError } from './limits-error.ts'

/**
 * The one spelling of an IP address: IPv4 dotted, IPv6 as in RFC 5952, an IPv4-mapped address as its IPv4, no zone.
 * Undefined for anything else; leading zeros (`010.0.0.1`) and short forms are anything else.
 */
export function normaliseAddress(text: string): string | undefined {
  if (isIPv4(text)) return text
  if (!isIPv6(text)) return undefined
  const zone = text.indexOf('%')
  const canonical = new SocketAddress({ address: zone < 0 ? text : text.slice(0, zone), family: 'ipv6' }).address
  const mapped = canonical.startsWith('::ffff:') ? canonical.slice(7) : ''
  return isIPv4(mapped) ? mapped : canonical
}

/** A network of `parseCidr`; an address alone is a network of one. */
export interface Network {
  address: string
  prefix: number
  family: 'ipv4' | 'ipv6'
}

/**
 * Reads `10.0.0.0/8`, `2001:db8::/32` or an address. Throws LimitsError `invalid_address` for all that could be read in
 * two ways: bits set beyond the prefix, leading zeros, zones, and IPv4-mapped networks.
 */
export function parseCidr(text: string): Network {
  const match = /^([0-9a-fA-F.:]{2,45})(?:\/(0|[1-9]\d{0,2}))?$/.exec(text)
  const written = match?.[1] ?? ''
  const address = normaliseAddress(written)
  if (address === undefined) {
    throw new LimitsError(
      'invalid_address',
      `${JSON.stringify(text)} is not an IP address or network such as 10.0.0.0/8`,
    )
  }
  const family = isIPv4(address) ? 'ipv4' : 'ipv6'
  const bits = family === 'ipv4' ? 32 : 128
  if (match?.[2] !== undefined && isIPv6(written) && family === 'ipv4') {
    // Taken literally, ::ffff:10.0.0.0/8 is a prefix of the IPv6 form and holds every IPv4 address there is.
    throw new LimitsError('invalid_address', `${text} is an IPv4-mapped network; write it as IPv4, such as 10.0.0.0/8`)
  }
  const prefix = match?.[2] === undefined ? bits : Number(match[2])
  if (prefix > bits) throw new LimitsError('invalid_address', `${text} has a prefix above ${bits}`)
  const network = networkAddress(address, prefix, family)
  if (network !== address) {
    throw new LimitsError(
      'invalid_address',
      `${text} has bits set beyond /${prefix}; write ${network}/${prefix} or ${address}`,
    )
  }
  return { address, prefix, family }
}

/** A set of addresses given as networks, for allow-lists and deny-lists. Throws LimitsError `invalid_address`. */
export function createAddressList(cidrs: readonly string[]): { has(address: string): boolean } {
  // One list a family: in a common one an IPv4 address is found in the IPv6 networks that hold its mapped form, so
  // that ::/64 would hold all of IPv4.
  const lists = { ipv4: new BlockList(), ipv6: new BlockList() }
  for (const { address, prefix, family } of cidrs.map(parseCidr)) lists[family].addSubnet(address, prefix, family)
  return {
    has(text) {
      const address = normaliseAddress(text)
      if (address === undefined) return false
      const family = isIPv4(address) ? 'ipv4' : 'ipv6'
      return lists[family].check(address, family)
    },
  }
}

/** The first address of the network that `address` (normalised) lies in. */
function networkAddress(address: string, prefix: number, family: 'ipv4' | 'ipv6'): string {
  const [groups, width] = family === 'ipv4' ? [address.split('.').map(Number), 8] : [groupsOf(address), 16]
  const masked = groups.map((group, index) => {
    const kept = Math.min(Math.max(prefix - index * width, 0), width)
    return group & ((2 ** width - 1) << (width - kept))
  })
  if (family === 'ipv4') return masked.join('.')
  return normaliseAddress(masked.map((group) => group.toString(16)).join(':')) ?? address
}

/** The eight groups of a normalised IPv6 address. */
export function groupsOf(address: string): number[] {
  const [head = '', tail] = address.split('::')
  const left = numbers(head)
  const right = numbers(tail ?? '')
  return [...left, ...Array<number>(8 - left.length - right.length).fill(0), ...right]
}

function numbers(groups: string): number[] {
  if (groups === '') return []
  return groups.split(':').flatMap((group) => {
    if (!group.includes('.')) return Number.parseInt(group, 16)
    const [a = 0, b = 0, c = 0, d = 0] = group.split('.').map(Number)
    return [a * 256 + b, c * 256 + d]
  })
}
