import type { Caller } from '@countersign/guard'

/** Who is logged in, made from a token that was checked and from nothing else. */
export interface Session {
  /** The user. */
  readonly subject: string
  /** Whose user: a session of one tenant is refused at every other. */
  readonly tenant?: string
  /** Seconds since the epoch. */
  readonly expiresAt?: number
  /** All verified claims. */
  readonly claims: Readonly<Record<string, unknown>>
  /** Set by a verifier that is built on a guard. */
  readonly caller?: Caller
}

/** Makes sessions, over every transport alike. */
export interface SessionVerifier {
  /** The session of a token; without one, or with a wrong one, it rejects with GuardError. */
  verify(token: string | undefined): Promise<Session>
}
