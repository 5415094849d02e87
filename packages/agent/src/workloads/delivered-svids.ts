/** What was given to workloads and may still be valid, so that it can be revoked when they end. */
export interface DeliveredSvids {
  x509(entryId: string, serialNumber: string, expiresAt: number): void
  jwt(entryId: string, jwtId: string, expiresAt: number): void
  /** What of the entry has not expired, and forgets it. */
  take(entryId: string, now: number): Delivered
}

export interface Delivered {
  readonly serialNumbers: readonly string[]
  readonly jwtIds: readonly string[]
  /** When the last of them expires, seconds since the epoch. */
  readonly expiresAt: number
}

/** Of one kind for one entry; far above what renewal alone leaves behind. */
const mostRemembered = 10_000

export function createDeliveredSvids(): DeliveredSvids {
  const serialNumbers = new Map<string, Map<string, number>>()
  const jwtIds = new Map<string, Map<string, number>>()
  return {
    x509: (entryId, serialNumber, expiresAt) => note(serialNumbers, entryId, serialNumber, expiresAt),
    jwt: (entryId, jwtId, expiresAt) => note(jwtIds, entryId, jwtId, expiresAt),
    take(entryId, now) {
      const serials = unexpired(serialNumbers.get(entryId), now)
      const tokens = unexpired(jwtIds.get(entryId), now)
      serialNumbers.delete(entryId)
      jwtIds.delete(entryId)
      const ends = [...serials, ...tokens].map(([, expiresAt]) => expiresAt)
      return {
        serialNumbers: serials.map(([serial]) => serial),
        jwtIds: tokens.map(([id]) => id),
        expiresAt: ends.reduce((latest, end) => Math.max(latest, end), 0),
      }
    },
  }
}

function note(kind: Map<string, Map<string, number>>, entryId: string, name: string, expiresAt: number): void {
  const names = kind.get(entryId) ?? new Map<string, number>()
  kind.set(entryId, names)
  names.delete(name)
  names.set(name, expiresAt)
  // In the order of their issue, which is that of their expiry: the first is the one to lose.
  for (const [oldest] of names) {
    if (names.size <= mostRemembered) break
    names.delete(oldest)
  }
}

function unexpired(names: Map<string, number> | undefined, now: number): [string, number][] {
  return [...(names ?? [])].filter(([, expiresAt]) => expiresAt > now)
}
