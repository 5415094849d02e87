import type { ChangeFeed } from '../storage/change-feed.ts'
import type { Store } from '../storage/store.ts'
import type { RevocationRow } from '../storage/tables.ts'

/** What of an access token decides whether it is revoked. */
export interface RevocableToken {
  jti: string
  client_id: string
  /** Seconds since the epoch */
  iat: number
  /** From the header */
  kid?: string
}

const pageSize = 1000
const pruneMilliseconds = 60_000

/** Which access tokens are revoked, in memory as the store has it: on every replica within moments of the commit. */
export class Revocations {
  readonly #store: Store
  readonly #now: () => number
  /** Each value is when the entry may be forgotten, in seconds since the epoch */
  readonly #tokens = new Map<string, number>()
  readonly #keys = new Map<string, number>()
  readonly #certificates = new Map<string, number>()
  readonly #clients = new Map<string, { before: number; expiresAt: number }>()
  readonly #listeners = new Set<() => void>()
  #revision = 0
  #reading: Promise<void> | undefined
  #again = false
  #timer: NodeJS.Timeout | undefined

  constructor(options: { store: Store; feed: ChangeFeed; now: () => number }) {
    this.#store = options.store
    this.#now = options.now
    options.feed.onChange(async (change) => {
      // A reading that fails is made up for by the next: the feed says `everything` until it is back in touch.
      if (change === 'everything' || change.kind === 'revocation') await this.load().catch(() => {})
    })
  }

  /** How many revocations are held, for metrics. */
  get size(): number {
    return this.#tokens.size + this.#keys.size + this.#certificates.size + this.#clients.size
  }

  async start(): Promise<void> {
    await this.load()
    this.#timer = setInterval(() => this.forgetExpired(), pruneMilliseconds)
    this.#timer.unref()
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  /** By what this replica knows: all that was committed up to a moment ago. See `isRevokedInStore` for "up to now". */
  isRevoked({ jti, client_id, iat, kid }: RevocableToken): boolean {
    if (this.#tokens.has(jti)) return true
    if (kid !== undefined && this.#keys.has(kid)) return true
    return this.isRevokedClient(client_id, iat)
  }

  /** Whether all that the client was issued at this time is revoked, by what this replica knows. */
  isRevokedClient(clientId: string, issuedAt: number): boolean {
    const client = this.#clients.get(clientId)
    return client !== undefined && issuedAt <= client.before
  }

  /**
   * Whether the X.509-SVID with this serial number (lower-case hex) is revoked, by what this replica knows.
   * Our CAs give no serial number twice, so that a number names one certificate.
   */
  isRevokedSerial(serial: string): boolean {
    return this.#certificates.has(serial)
  }

  /**
   * Whether the JWT-SVID with this `jti` or the key that signed it is revoked, by what this replica knows.
   */
  isRevokedJwtSvid({ jti, kid }: { jti?: string; kid?: string }): boolean {
    return (jti !== undefined && this.#tokens.has(jti)) || (kid !== undefined && this.#keys.has(kid))
  }

  /**
   * By the store itself, on whichever replica the revocation was made.
   * @throws StoreError `unavailable`
   */
  async isRevokedInStore({ jti, client_id, iat, kid }: RevocableToken): Promise<boolean> {
    const row = await this.#store.database
      .selectFrom('revocations')
      .select('revision')
      .where((where) =>
        where.or([
          where('jti', '=', jti),
          where.and([where('client_id', '=', client_id), where('before', '>=', Math.floor(iat))]),
          ...(kid === undefined ? [] : [where('kid', '=', kid)]),
        ]),
      )
      .limit(1)
      .executeTakeFirst()
    return row !== undefined
  }

  /** Calls back after something was revoked, on any replica. */
  onRevoked(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Reads what is new. A call that comes while a reading is under way has another one follow it. */
  async load(): Promise<void> {
    if (this.#reading) {
      this.#again = true
      return this.#reading
    }
    this.#reading = this.#readAll().finally(() => {
      this.#reading = undefined
    })
    return this.#reading
  }

  forgetExpired(): void {
    // As long as a verifier with the largest leeway still accepts what has expired.
    const before = this.#now() - 60
    for (const map of [this.#tokens, this.#keys, this.#certificates]) {
      for (const [id, expiresAt] of map) if (expiresAt < before) map.delete(id)
    }
    for (const [id, { expiresAt }] of this.#clients) if (expiresAt < before) this.#clients.delete(id)
  }

  async #readAll(): Promise<void> {
    do {
      this.#again = false
      const rows = await this.#store.database
        .selectFrom('revocations')
        .selectAll()
        .where('revision', '>', this.#revision)
        .orderBy('revision')
        .limit(pageSize)
        .execute()
      for (const row of rows) this.#remember(row)
      if (rows.length > 0) for (const listener of this.#listeners) listener()
      if (rows.length === pageSize) this.#again = true
    } while (this.#again)
  }

  #remember(row: RevocationRow): void {
    if (row.jti !== null) this.#tokens.set(row.jti, row.expires_at)
    if (row.kid !== null) this.#keys.set(row.kid, row.expires_at)
    if (row.serial !== null) this.#certificates.set(row.serial, row.expires_at)
    if (row.client_id !== null && row.before !== null) {
      const before = Math.max(row.before, this.#clients.get(row.client_id)?.before ?? 0)
      this.#clients.set(row.client_id, { before, expiresAt: row.expires_at })
    }
    this.#revision = row.revision
  }
}
