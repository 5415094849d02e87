import { parseJwtSvidUnverified } from '@countersign/spiffe'
import { type NewJWTSVIDRequest, type NewJWTSVIDResponse, SVIDService } from '@countersign/spiffe/protocol/spire-svid'
import { status } from '@grpc/grpc-js'
import { AgentError } from '../agent-error.ts'
import { type Clock, nowSeconds } from '../clock.ts'
import type { AuthorizedEntry } from '../entries/authorized-entry.ts'
import { standingAfter } from '../server-connection/call-failure.ts'
import type { ServerConnection } from '../server-connection/server-connection.ts'
import { CallRefusal } from '../workloads/call-refusal.ts'
import { renewalTime } from './renewal.ts'
import { RequestBudget } from './request-budget.ts'

export interface IssuedJwtSvid {
  readonly token: string
  /** Unset when the server gives its tokens none. */
  readonly jwtId: string | undefined
  readonly keyId: string | undefined
  readonly expiresAt: number
}

interface Slot {
  svid?: IssuedJwtSvid
  renewAt: number
  fetching?: Promise<IssuedJwtSvid>
}

const mostCached = 1_000
const tooMany = 'too many new JWT-SVIDs are asked for; use the ones you have, and try again in some seconds'

/** JWT-SVIDs by entry and audiences: asked for once, again from half their life on, served while they are valid. */
export class JwtSvidCache {
  readonly #connection: () => ServerConnection
  readonly #isReplaced: (over: ServerConnection) => Promise<boolean>
  readonly #clock: Clock
  readonly #random: () => number
  readonly #budget: RequestBudget
  readonly #slots = new Map<string, Slot>()

  /** @param options.isReplaced whether calls go over another connection by now, or soon */
  constructor(options: {
    connection: () => ServerConnection
    isReplaced: (over: ServerConnection) => Promise<boolean>
    clock: Clock
    random: () => number
  }) {
    this.#connection = options.connection
    this.#isReplaced = options.isReplaced
    this.#clock = options.clock
    this.#random = options.random
    this.#budget = new RequestBudget(options.clock)
  }

  /** @throws what the server's refusal or absence threw, when there is no valid one left */
  async get(entry: AuthorizedEntry, audience: readonly string[]): Promise<IssuedJwtSvid> {
    const slot = this.#slot(slotKey(entry, audience))
    const now = nowSeconds(this.#clock)
    const valid = slot.svid !== undefined && slot.svid.expiresAt > now ? slot.svid : undefined
    if (valid !== undefined && this.#clock.now() < slot.renewAt) return valid
    slot.fetching ??= this.#fetch(entry, audience, slot).finally(() => delete slot.fetching)
    if (valid === undefined) return slot.fetching
    return slot.fetching.catch(() => valid)
  }

  /** The identity ended or its entry went. */
  drop(entryId: string): void {
    this.#forget((key) => key.startsWith(`${entryId} `))
  }

  /** Tokens of these keys are not to be given out any more. */
  dropKeys(keyIds: ReadonlySet<string>): void {
    this.#forget((_key, { svid }) => svid?.keyId !== undefined && keyIds.has(svid.keyId))
  }

  get size(): number {
    return this.#slots.size
  }

  #slot(key: string): Slot {
    const slot = this.#slots.get(key) ?? { renewAt: 0 }
    // Last in, last out: what was used longest ago makes room.
    this.#slots.delete(key)
    this.#slots.set(key, slot)
    for (const [oldest] of this.#slots) {
      if (this.#slots.size <= mostCached) break
      this.#slots.delete(oldest)
    }
    return slot
  }

  async #fetch(entry: AuthorizedEntry, audience: readonly string[], slot: Slot): Promise<IssuedJwtSvid> {
    if (!this.#budget.take(entry.id)) throw new CallRefusal(status.RESOURCE_EXHAUSTED, tooMany)
    const { svid } = await this.#ask({ entryId: entry.id, audience: [...audience] })
    const issued = readSvid(svid?.token ?? '', entry)
    slot.svid = issued
    slot.renewAt = renewalTime(this.#clock.now(), issued.expiresAt, this.#random)
    return issued
  }

  /** An agent that attests itself anew is known to the server by its new SVID before it has that itself. */
  async #ask(request: NewJWTSVIDRequest): Promise<NewJWTSVIDResponse> {
    const over = this.#connection()
    try {
      return await over.call(SVIDService.newJwtsvid, request)
    } catch (error) {
      if (standingAfter(error) !== 'must_reattest' || !(await this.#isReplaced(over))) throw error
      return this.#connection().call(SVIDService.newJwtsvid, request)
    }
  }

  #forget(predicate: (key: string, slot: Slot) => boolean): void {
    for (const [key, slot] of this.#slots) if (predicate(key, slot)) this.#slots.delete(key)
  }
}

/** Entries that changed are other keys, so that an old revision's tokens are not served. */
function slotKey(entry: AuthorizedEntry, audience: readonly string[]): string {
  return `${entry.id} ${entry.revisionNumber} ${JSON.stringify([...audience].sort())}`
}

function readSvid(token: string, entry: AuthorizedEntry): IssuedJwtSvid {
  const svid = parseJwtSvidUnverified(token)
  if (svid.id.toString() !== entry.spiffeId)
    throw new AgentError('invalid_answer', `the server signed a JWT-SVID for ${svid.id}, not ${entry.spiffeId}`)
  const { jti } = svid.claims
  return {
    token,
    jwtId: typeof jti === 'string' ? jti : undefined,
    keyId: svid.keyId,
    expiresAt: svid.expiresAt,
  }
}
