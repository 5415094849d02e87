import { type LookupAddress, lookup as systemLookup } from 'node:dns'
import { isIP, type LookupFunction } from 'node:net'
import { OutboundError } from './outbound-error.ts'
import { addressKind } from './public-address.ts'

export interface LookupRules {
  allowPrivateAddresses?: boolean
  lookup?: LookupFunction
}

/**
 * Resolves `hostname` once and returns its addresses, all of them checked.
 *
 * One refused address refuses the host: who answers with a public and a private address is not to be trusted with
 * either. Throws OutboundError `blocked_address`, or `unreachable` when the name does not resolve.
 */
export async function checkedAddresses(hostname: string, shown: string, rules: LookupRules): Promise<LookupAddress[]> {
  const literal = hostname.startsWith('[') ? hostname.slice(1, -1) : hostname
  const family = isIP(literal)
  const addresses = family !== 0 ? [{ address: literal, family }] : await resolve(hostname, shown, rules.lookup)
  for (const { address } of addresses) {
    const kind = addressKind(address)
    if (kind === 'public' || (kind === 'private' && rules.allowPrivateAddresses === true)) continue
    throw new OutboundError('blocked_address', `${shown} is on a host that may not be reached: ${reasons[kind]}`, {
      address,
    })
  }
  return addresses
}

/** A lookup for node:net that knows only `addresses`, so that the socket goes where the check has been. */
export function fixedLookup(addresses: readonly LookupAddress[]): LookupFunction {
  return (_hostname, options, callback) => {
    if (options.all) return callback(null, [...addresses])
    const wanted = addresses.find((entry) => !options.family || entry.family === familyNumber(options.family))
    if (wanted === undefined) return callback(new Error('no address of the wanted family'), '', 0)
    callback(null, wanted.address, wanted.family)
  }
}

const reasons = {
  private: 'its address is a private one (allowPrivateAddresses lets it pass, for hosts that you run yourself)',
  forbidden: 'its address is link-local, reserved or not an address',
}

function resolve(hostname: string, shown: string, lookup: LookupFunction = systemLookup as LookupFunction) {
  return new Promise<LookupAddress[]>((fulfil, reject) => {
    lookup(hostname, { all: true }, (error, found, family) => {
      const addresses = error
        ? []
        : typeof found === 'string'
          ? [{ address: found, family: family ?? isIP(found) }]
          : found
      if (addresses.length > 0) return fulfil(addresses.slice())
      reject(
        new OutboundError('unreachable', `the host of ${shown} cannot be resolved; check its name`, { cause: error }),
      )
    })
  })
}

function familyNumber(family: number | string): number {
  return typeof family === 'number' ? family : family === 'IPv6' ? 6 : 4
}
