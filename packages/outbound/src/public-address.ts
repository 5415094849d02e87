import { BlockList, isIPv4, isIPv6, SocketAddress } from 'node:net'

/**
 * `public`: anyone's host on the internet. `private`: somebody's own network or machine, reached only on purpose.
 * `forbidden`: never a document's host (link-local and cloud metadata, multicast, reserved, transition tunnels).
 */
export type AddressKind = 'public' | 'private' | 'forbidden'

/** True when `address` (text of an IP address, without brackets or zone) is a globally reachable unicast address. */
export function isPublicAddress(address: string): boolean {
  return addressKind(address) === 'public'
}

/** What kind of network `address` belongs to; text that is no IP address is `forbidden`. */
export function addressKind(address: string): AddressKind {
  if (isIPv4(address)) return kindOfIPv4(address)
  if (!isIPv6(address) || address.includes('%')) return 'forbidden'
  const embedded = embeddedIPv4(address)
  if (embedded !== undefined) return kindOfIPv4(embedded)
  if (metadata.check(address, 'ipv6')) return 'forbidden'
  if (privateNetworks.check(address, 'ipv6')) return 'private'
  if (!globalUnicast.check(address, 'ipv6') || specialUnicast.check(address, 'ipv6')) return 'forbidden'
  return 'public'
}

function kindOfIPv4(address: string): AddressKind {
  if (metadata.check(address, 'ipv4')) return 'forbidden'
  if (privateNetworks.check(address, 'ipv4')) return 'private'
  return specialIPv4.check(address, 'ipv4') ? 'forbidden' : 'public'
}

/** The IPv4 host that is meant by an IPv4-mapped (RFC 4291 section 2.5.5.2) or NAT64 (RFC 6052) address. */
function embeddedIPv4(address: string): string | undefined {
  const canonical = new SocketAddress({ address, family: 'ipv6' }).address
  if (canonical.startsWith('::ffff:') && isIPv4(canonical.slice(7))) return canonical.slice(7)
  if (!nat64.check(address, 'ipv6')) return undefined
  const [high = 0, low = 0] = lastTwoGroups(canonical)
  return `${high >> 8}.${high & 255}.${low >> 8}.${low & 255}`
}

function lastTwoGroups(canonical: string): number[] {
  const [, tail = ''] = canonical.split('::')
  const groups = (tail === '' ? [] : tail.split(':')).map((group) => Number.parseInt(group, 16))
  return [0, 0, ...groups].slice(-2)
}

function networks(family: 'ipv4' | 'ipv6', cidrs: readonly string[], into = new BlockList()): BlockList {
  for (const cidr of cidrs) {
    const [network = '', prefix] = cidr.split('/')
    into.addSubnet(network, Number(prefix), family)
  }
  return into
}

// The IANA special-purpose registries (RFC 6890 and its updates), read as: what is not known to be public is not.
const nat64 = networks('ipv6', ['64:ff9b::/96'])
const globalUnicast = networks('ipv6', ['2000::/3'])

const privateNetworks = networks(
  'ipv6',
  ['::1/128', 'fc00::/7'],
  networks('ipv4', ['10.0.0.0/8', '100.64.0.0/10', '127.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', '198.18.0.0/15']),
)

// Hosts that hand credentials to whoever asks: they stay shut even where private addresses are allowed.
const metadata = networks(
  'ipv6',
  ['fd00:ec2::254/128', 'fd20:ce::254/128'],
  networks('ipv4', ['169.254.0.0/16', '168.63.129.16/32', '100.100.100.200/32', '192.0.0.192/32']),
)

const specialIPv4 = networks('ipv4', [
  '0.0.0.0/8',
  '192.0.0.0/24',
  '192.0.2.0/24',
  '192.88.99.0/24',
  '198.51.100.0/24',
  '203.0.113.0/24',
  '224.0.0.0/4',
  '240.0.0.0/4',
])

// 2001::/23 holds Teredo and ORCHID, 2002::/16 is 6to4: tunnels whose far end may be an inner IPv4 address.
const specialUnicast = networks('ipv6', ['2001::/23', '2001:db8::/32', '2002::/16', '3fff::/20'])
