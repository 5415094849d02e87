import { isIP } from 'node:net'
import { parseSpiffeId } from '../ids/spiffe-id.ts'
import { quoted, SpiffeError } from '../spiffe-error.ts'
import type { NamesToWrite } from './general-names.ts'

/**
 * The names as they are when a certificate may carry them: SPIFFE IDs, host names with at most one `*` as first label,
 * IP addresses. Throws `invalid_configuration`, and `invalid_spiffe_id`: nothing that others could read as two names is
 * signed.
 */
export function checkNames<Names extends NamesToWrite>(names: Names): Names {
  for (const uri of names.uris ?? []) {
    // Other spellings of the same ID exist; certificates carry the one that compares as text.
    if (parseSpiffeId(uri).toString() !== uri) throw invalid(uri, 'is a SPIFFE ID with capitals in its trust domain')
  }
  for (const name of names.dnsNames ?? []) checkDnsName(name)
  for (const address of names.ipAddresses ?? []) {
    if (isIP(address) === 0 || address.includes('%')) throw invalid(address, 'is no IP address')
  }
  return names
}

function checkDnsName(name: string): void {
  const isName =
    name.length <= 253 &&
    /^(?:\*\.)?(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?$/i.test(name)
  if (!isName) throw invalid(name, 'is no host name')
  if (isIP(name) !== 0) throw invalid(name, 'is an IP address, not a host name')
}

function invalid(name: string, why: string): SpiffeError {
  return new SpiffeError('invalid_configuration', `${quoted(name)} ${why}`)
}
