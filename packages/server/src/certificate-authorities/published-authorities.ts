import type { CertificateAuthorityRow } from '../storage/workload-identity-tables.ts'

/** What a bundle holds, by text: certificates in base64 DER, keys by `kid`; each with whether it is tainted. */
export interface PublishedTexts {
  readonly roots: ReadonlyMap<string, boolean>
  readonly keys: ReadonlyMap<string, boolean>
}

/** Of these rows, none of them revoked. A root that several CAs hang on is tainted when all of them are. */
export function publishedTexts(
  rows: readonly Pick<CertificateAuthorityRow, 'id' | 'kind' | 'roots' | 'tainted_at'>[],
): PublishedTexts {
  const roots = new Map<string, boolean>()
  const keys = new Map<string, boolean>()
  for (const row of rows) {
    const tainted = row.tainted_at !== null
    if (row.kind === 'jwt') keys.set(row.id, tainted)
    else for (const root of JSON.parse(row.roots)) roots.set(root, tainted && roots.get(root) !== false)
  }
  return { roots, keys }
}
