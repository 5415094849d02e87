import { CliError } from '../cli-error.ts'
import { formatInstant } from '../instant.ts'
import { readText } from '../read-text.ts'
import type { Entry } from '../resources.ts'

/** What SPIRE's `entry show -output json` writes of an entry, as far as it says who is who. */
interface SpireEntry {
  spiffe_id: { trust_domain: string; path: string }
  parent_id: { trust_domain: string; path: string }
  selectors: { type: string; value: string }[]
  x509_svid_ttl?: number
  jwt_svid_ttl?: number
  dns_names?: string[]
  hint?: string
  federates_with?: string[]
  admin?: boolean
  downstream?: boolean
  store_svid?: boolean
  /** Seconds since the epoch, as text; "0" for never */
  expires_at?: string | number
}

/**
 * Entries as the admin API takes them, from a file that SPIRE wrote.
 * @throws CliError naming the entry that cannot be read
 */
export async function readSpireEntries(file: string): Promise<Partial<Entry>[]> {
  const what = 'entries as `spire-server entry show -output json` writes them'
  const text = await readText(file, what)
  let document: { entries?: unknown }
  try {
    document = JSON.parse(text)
  } catch {
    throw new CliError(`${file} is no JSON; it should hold ${what}`)
  }
  if (!Array.isArray(document?.entries)) throw new CliError(`${file} has no list "entries"; it should hold ${what}`)
  return document.entries.map((entry, index) => {
    try {
      return translate(entry)
    } catch {
      throw new CliError(`entry ${index + 1} of ${file} has no spiffe_id, parent_id or selectors as SPIRE writes them`)
    }
  })
}

function translate(entry: SpireEntry): Partial<Entry> {
  const idOf = ({ trust_domain, path }: SpireEntry['spiffe_id']) => `spiffe://${trust_domain}${path}`
  const expiresAt = Number(entry.expires_at ?? 0)
  return {
    spiffe_id: idOf(entry.spiffe_id),
    parent_id: idOf(entry.parent_id),
    selectors: entry.selectors.map(({ type, value }) => `${type}:${value}`),
    x509_svid_ttl: entry.x509_svid_ttl ?? 0,
    jwt_svid_ttl: entry.jwt_svid_ttl ?? 0,
    dns_names: entry.dns_names ?? [],
    hint: entry.hint ?? '',
    federates_with: entry.federates_with ?? [],
    admin: entry.admin ?? false,
    downstream: entry.downstream ?? false,
    store_svid: entry.store_svid ?? false,
    expires_at: expiresAt === 0 ? null : formatInstant(expiresAt),
  }
}
