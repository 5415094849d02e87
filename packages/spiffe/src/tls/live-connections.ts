import { isStillTrusted, type Peer, type PeerRules } from './peer.ts'
import type { TlsSource } from './tls-source.ts'

/** A connection that was let in, and how it ends. */
export interface LiveConnection {
  readonly peer: Peer
  /** Takes nothing new, and ends when what is under way has ended. */
  drain(): void
  /** Ends at once. */
  end(): void
}

/**
 * Sees to it that no connection outlives what let it in: it drains when three quarters of the time from its beginning to
 * the end of its peer's certificate are over, and ends with the certificate, with its revocation, or when the bundle gives
 * up the authority behind it.
 */
export class LiveConnections {
  readonly #source: TlsSource
  readonly #rules: PeerRules
  readonly #drainAt = new Map<LiveConnection, number>()
  readonly #timer: NodeJS.Timeout
  readonly #forget: () => void
  #authorities: ReadonlySet<string>

  constructor(source: TlsSource, rules: PeerRules) {
    this.#source = source
    this.#rules = rules
    this.#authorities = authoritiesOf(source)
    this.#timer = setInterval(() => this.#look(), lookEveryMilliseconds).unref()
    this.#forget = source.onUpdate(() => this.#update())
  }

  add(connection: LiveConnection): void {
    const now = this.#now()
    this.#drainAt.set(connection, now + (expiryOf(connection) - now) * 0.75)
  }

  delete(connection: LiveConnection): void {
    this.#drainAt.delete(connection)
  }

  close(): void {
    clearInterval(this.#timer)
    this.#forget()
    this.#drainAt.clear()
  }

  #look(): void {
    const now = this.#now()
    for (const [connection, drainAt] of this.#drainAt) {
      const isRevoked = this.#rules.isRevoked?.(connection.peer.certificate.serialNumber)
      if (isRevoked || expiryOf(connection) <= now) this.#end(connection)
      else if (drainAt <= now) this.#drain(connection)
    }
  }

  /** Chains are only verified again when an authority has left: additions take nobody's trust. */
  #update(): void {
    const authorities = authoritiesOf(this.#source)
    const hasLost = [...this.#authorities].some((authority) => !authorities.has(authority))
    this.#authorities = authorities
    if (!hasLost) return
    for (const connection of this.#drainAt.keys()) {
      if (!isStillTrusted(connection.peer, this.#source, this.#rules)) this.#end(connection)
    }
  }

  #drain(connection: LiveConnection): void {
    this.#drainAt.set(connection, Number.POSITIVE_INFINITY)
    connection.drain()
  }

  #end(connection: LiveConnection): void {
    this.#drainAt.delete(connection)
    connection.end()
  }

  #now(): number {
    return this.#rules.now?.() ?? Date.now()
  }
}

const lookEveryMilliseconds = 500

function expiryOf({ peer }: LiveConnection): number {
  return peer.certificate.notAfter * 1000
}

function authoritiesOf(source: TlsSource): ReadonlySet<string> {
  const authorities = new Set<string>()
  for (const { trustDomain, x509Authorities } of source.bundles.values()) {
    for (const { der } of x509Authorities) authorities.add(`${trustDomain} ${der.toString('latin1')}`)
  }
  return authorities
}
