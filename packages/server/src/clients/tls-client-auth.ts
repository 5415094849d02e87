import { isIP } from 'node:net'
import { normaliseAddress } from '@countersign/limits'
import { checkDistinguishedName, checkSpiffePattern } from '@countersign/spiffe'
import { z } from 'zod'
import { exactly, isOneLine } from '../admin/fields.ts'
import { type TlsClientAuth, tlsClientAuthNames } from './client.ts'

/** How a client's certificates are known, as the admin API shows and takes it. */

const name = z.string().min(1).max(2048).refine(isOneLine, { error: 'must be one line' })

export const spiffeIds = z
  .array(
    name.refine((text) => isFine(() => checkSpiffePattern(text)), {
      error: 'must be a SPIFFE ID, or one with /* at its end',
    }),
  )
  .max(50)
  .refine((list) => new Set(list).size === list.length, { error: 'names an ID twice' })
  .meta({ description: 'SPIFFE IDs of its workloads: exact, or with /* at the end for all below' })

export const tlsClientAuth = exactly({
  subject_dn: name
    .refine((text) => isFine(() => checkDistinguishedName(text)), {
      error: 'must be a name as RFC 4514 writes it, such as CN=orders,O=Example',
    })
    .optional(),
  san_dns: name.regex(/^[A-Za-z0-9._-]+$/, { error: 'must be a host name, without a wildcard' }).optional(),
  san_uri: name
    .refine((text) => URL.canParse(text) && !/^spiffe:/i.test(text), {
      error: 'must be a URI; a SPIFFE ID belongs to spiffe_ids',
    })
    .optional(),
  san_ip: name.refine((text) => isIP(text) !== 0, { error: 'must be an IP address' }).optional(),
  san_email: name.regex(/^[^\s@]+@[^\s@]+$/, { error: 'must be an e-mail address' }).optional(),
})
  .refine((matcher) => Object.values(matcher).filter((value) => value !== undefined).length === 1, {
    error: `needs exactly one of ${tlsClientAuthNames.join(', ')} (RFC 8705 section 2.1.2)`,
  })
  .meta({ description: 'The one name by which its certificates are known (tls_client_auth)' })

/** What the store has of it. */
export function readTlsClientAuth(stored: Record<string, string>): TlsClientAuth | undefined {
  for (const name of tlsClientAuthNames) {
    const value = stored[name]
    if (value !== undefined) return { name, value: name === 'san_ip' ? (normaliseAddress(value) ?? value) : value }
  }
  return undefined
}

function isFine(check: () => void): boolean {
  try {
    check()
    return true
  } catch {
    return false
  }
}
