/** One entry of the feed: a token, all of a client's tokens up to a moment, a signing key, or an X.509-SVID. */
export type RevocationItem =
  | { readonly kind: 'token'; readonly tokenId: string; readonly expiresAt: number }
  | { readonly kind: 'client'; readonly clientId: string; readonly before: number }
  | { readonly kind: 'key'; readonly keyId: string }
  /** `serial` in lower-case hex. */
  | { readonly kind: 'certificate'; readonly serial: string; readonly expiresAt: number }

export interface RevocationPage {
  readonly items: readonly RevocationItem[]
  readonly next: string
  readonly hasMore: boolean
}

/** Reads a page of the feed from parsed JSON. Throws where it is not one: a guard must not guess what was revoked. */
export function readRevocationPage(document: unknown): RevocationPage {
  const page = document as { items?: unknown; next?: unknown; has_more?: unknown } | null
  if (!Array.isArray(page?.items) || !isName(page.next))
    throw new Error('the feed answered something else than a page of revocations')
  return { items: page.items.flatMap(readRevocationItem), next: page.next, hasMore: page.has_more === true }
}

/** Reads one entry; kinds that are not known yet are passed over, known ones that are broken are an error. */
export function readRevocationItem(document: unknown): RevocationItem[] {
  if (typeof document !== 'object' || document === null) throw new Error('a revocation is not an object')
  const item = document as Record<string, unknown>
  if ('jti' in item) {
    if (isName(item.jti) && isTime(item.exp)) return [{ kind: 'token', tokenId: item.jti, expiresAt: item.exp }]
  } else if ('client_id' in item) {
    if (isName(item.client_id) && isTime(item.before))
      return [{ kind: 'client', clientId: item.client_id, before: item.before }]
  } else if ('kid' in item) {
    if (isName(item.kid)) return [{ kind: 'key', keyId: item.kid }]
  } else if ('serial' in item) {
    if (isName(item.serial) && isTime(item.exp))
      return [{ kind: 'certificate', serial: item.serial.toLowerCase(), expiresAt: item.exp }]
  } else return []
  throw new Error('a revocation lacks what its kind needs')
}

function isName(value: unknown): value is string {
  return typeof value === 'string' && value !== '' && value.length <= 1024
}

function isTime(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value)
}
