import type { AuditFact } from '../audit/event.ts'
import type { AuditLog } from '../audit/log.ts'
import type { Selector } from '../registration-entries/registration-entry.ts'
import { announce, type ChangeFeed } from '../storage/change-feed.ts'
import type { Store, StoreTransaction } from '../storage/store.ts'
import { type Node, type NodeStanding, nodeOf, standingOf } from './node.ts'
import type { AttestedNode } from './node-attestor.ts'
import { NodeCache } from './node-cache.ts'

export interface Attested {
  /** The agent's SPIFFE ID */
  id: string
  /** Of attestation, such as `x509pop` */
  type: string
  selectors: readonly Selector[]
  /** Of the SVID that the agent gets, lower-case hex as it is written in it */
  serialNumber: string
  /** Seconds since the epoch */
  notAfter: number
  reattestable: boolean
  agentVersion?: string | undefined
  /** Where the agent called from */
  address?: string | undefined
  claim?: AttestedNode['claim']
  serialGivenBefore?: AttestedNode['serialGivenBefore']
}

export interface Renewed {
  id: string
  /** Of the SVID with which the agent asked; what it may no longer do with it, it may not renew either */
  usedSerial?: string | undefined
  newSerial: string
  /** Seconds since the epoch */
  notAfter: number
  /** Of attestation, when the agent has come with that rather than with its SVID */
  method?: string
  address?: string | undefined
}

/** The node may not do what it wants to; `standing` says why. */
export class NodeRefused extends Error {
  readonly standing: Exclude<NodeStanding, 'good'>
  constructor(id: string, standing: Exclude<NodeStanding, 'good'>) {
    super(`the node ${id} is refused: ${standing}`)
    this.name = 'NodeRefused'
    this.standing = standing
  }
}

export interface NodeRegistryOptions {
  store: Store
  feed: ChangeFeed
  audit: AuditLog
  /** Seconds since the epoch */
  now: () => number
}

/** Which agents have attested themselves, and with which SVID each of them may come. */
export class NodeRegistry {
  readonly #options: NodeRegistryOptions
  readonly #cache: NodeCache
  readonly #promoting = new Map<string, Promise<void>>()

  constructor(options: NodeRegistryOptions) {
    this.#options = options
    this.#cache = new NodeCache(options)
  }

  /** @throws StoreError `unavailable` */
  async get(id: string): Promise<Node | undefined> {
    return this.#cache.peek(id) ?? this.#cache.read(id)
  }

  /** Whether the node is there and not banned, on whichever replica that was done. @throws StoreError `unavailable` */
  async isWelcome(id: string): Promise<boolean> {
    const node = await this.#cache.read(id)
    return node !== undefined && node.bannedAt === undefined
  }

  /**
   * Whether the agent may act with this SVID. Most calls are answered from memory; whoever is to be refused, or comes
   * with what is new, is looked up, as he may have attested himself at another replica a moment ago.
   * The first use of a renewed SVID ends the one before it.
   * @throws StoreError `unavailable`
   */
  async use(id: string, serialNumber: string): Promise<NodeStanding> {
    const known = this.#cache.peek(id)
    const isCurrent = known?.serialNumber === serialNumber
    if (isCurrent && standingOf(known, serialNumber, this.#options.now()) === 'good') return 'good'
    const node = await this.#cache.read(id)
    const standing = standingOf(node, serialNumber, this.#options.now())
    if (standing === 'good' && node?.renewed?.serialNumber === serialNumber) await this.#promote(id, serialNumber)
    return standing
  }

  /**
   * Takes a node in, or in anew: what it held before is no longer good. One that asks again for a lost answer is renewed.
   * @throws NodeRefused `AGENT_BANNED`, for who asks again others too; AttestationError of `claim`; StoreError `unavailable`
   */
  async attested(attested: Attested): Promise<void> {
    const { id, type, serialNumber, notAfter, agentVersion, address, claim, serialGivenBefore: usedSerial } = attested
    if (usedSerial !== undefined)
      return this.renewed({ id, usedSerial, newSerial: serialNumber, notAfter, method: type, address })
    await this.#change(
      id,
      {
        type: 'node.attested',
        ...(address !== undefined && { address }),
        method: type,
        detail: {
          serial_number: serialNumber,
          selectors: attested.selectors.map(({ type, value }) => `${type}:${value}`),
        },
      },
      async (transaction, now) => {
        const before = await findNode(transaction, id)
        if (before?.bannedAt !== undefined) throw new NodeRefused(id, 'AGENT_BANNED')
        const claimed = await claim?.(transaction, { serialNumber, now })
        const values = {
          attestation_type: type,
          selectors: JSON.stringify(attested.selectors.map(({ type, value }) => ({ type, value }))),
          serial_number: serialNumber,
          expires_at: notAfter,
          new_serial_number: null,
          new_expires_at: null,
          reattestable: attested.reattestable ? 1 : 0,
          agent_version: agentVersion ?? before?.agentVersion ?? null,
          attested_at: now,
          updated_at: now,
        }
        if (before) await transaction.updateTable('nodes').set(values).where('id', '=', id).execute()
        else
          await transaction
            .insertInto('nodes')
            .values({ id, banned_at: null, created_at: now, ...values })
            .execute()
        return claimed
      },
    )
  }

  /**
   * Notes an SVID that the agent has asked for in time; the present one stays good until this one is used.
   * @throws NodeRefused; StoreError `unavailable`
   */
  async renewed({ id, usedSerial, newSerial, notAfter, method, address }: Renewed): Promise<void> {
    await this.#change(
      id,
      {
        type: 'node.renewed',
        ...(address !== undefined && { address }),
        ...(method !== undefined && { method }),
        detail: { serial_number: newSerial },
      },
      async (transaction, now) => {
        const node = await findNode(transaction, id)
        const standing = standingOf(node, usedSerial ?? node?.serialNumber ?? '', now)
        if (standing !== 'good') throw new NodeRefused(id, standing)
        if (node?.reattestable) throw new NodeRefused(id, 'AGENT_MUST_REATTEST')
        await transaction
          .updateTable('nodes')
          .set({ new_serial_number: newSerial, new_expires_at: notAfter, updated_at: now })
          .where('id', '=', id)
          .execute()
      },
    )
  }

  /** What the agent says of itself; only shown. @throws StoreError `unavailable` */
  async reportVersion(id: string, agentVersion: string): Promise<void> {
    const version = agentVersion
      .toWellFormed()
      .replaceAll(/\p{Cc}/gu, '')
      .slice(0, 255)
    await this.#options.store.database
      .updateTable('nodes')
      .set({ agent_version: version })
      .where('id', '=', id)
      .where((row) => row.or([row('agent_version', 'is', null), row('agent_version', '!=', version)]))
      .execute()
  }

  /** Once, however many of its calls come at the same time. */
  #promote(id: string, serialNumber: string): Promise<void> {
    const key = `${serialNumber} ${id}`
    let promoting = this.#promoting.get(key)
    if (!promoting) {
      promoting = this.#writePromotion(id, serialNumber).finally(() => this.#promoting.delete(key))
      this.#promoting.set(key, promoting)
    }
    return promoting
  }

  async #writePromotion(id: string, serialNumber: string): Promise<void> {
    const { store, feed, now } = this.#options
    await store.transaction(async (transaction) => {
      await announce(transaction, store, { kind: 'node', id, at: now() })
      await transaction
        .updateTable('nodes')
        .set((row) => ({
          serial_number: serialNumber,
          expires_at: row.ref('new_expires_at') as never,
          new_serial_number: null,
          new_expires_at: null,
          updated_at: now(),
        }))
        .where('id', '=', id)
        .where('new_serial_number', '=', serialNumber)
        .execute()
    })
    await feed.catchUp()
  }

  async #change(
    id: string,
    fact: { type: string; address?: string; method?: string; detail: Record<string, string | string[]> },
    change: (transaction: StoreTransaction, now: number) => Promise<readonly AuditFact[] | undefined>,
  ): Promise<void> {
    const { store, audit, feed, now } = this.#options
    const own: AuditFact = { ...fact, outcome: 'success', target: `node/${id}` }
    let others: readonly AuditFact[] = []
    await audit.recordChange(
      () => [own, ...others],
      async (transaction) => {
        await announce(transaction, store, { kind: 'node', id, at: now() })
        others = (await change(transaction, now())) ?? []
      },
    )
    await feed.catchUp()
  }
}

async function findNode(transaction: StoreTransaction, id: string): Promise<Node | undefined> {
  const row = await transaction.selectFrom('nodes').selectAll().where('id', '=', id).executeTakeFirst()
  return row && nodeOf(row)
}
