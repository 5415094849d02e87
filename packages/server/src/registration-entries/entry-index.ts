import { LRUCache } from 'lru-cache'
import { type AgentClass, admits, classOf } from './agent-class.ts'
import { AliasIndex } from './alias-index.ts'
import { FreshnessDemands } from './freshness-demands.ts'
import type { RegistrationEntry, Selector } from './registration-entry.ts'

export interface AgentView {
  /** Its SPIFFE ID */
  readonly id: string
  /** What its attestation found. The same array while nothing changed costs less */
  readonly selectors: readonly Selector[]
}

export interface AuthorizationOptions {
  /** Whether this agent enforces what an entry demands of a workload: ours does, others cannot */
  readonly workloadPolicies: boolean
  /** When the agent has attested itself, seconds since the epoch */
  readonly attestedAt: number
  /** Seconds since the epoch */
  readonly now: number
}

/** Everything below one SPIFFE ID, for one class of agents. */
interface Subtree {
  entries: readonly RegistrationEntry[]
  /** Every SPIFFE ID whose children were looked at, those without children too */
  parents: ReadonlySet<string>
  /** Seconds since the epoch; a clock that was put back is asked again */
  madeAt: number
  /** When the next of them expires */
  validUntil: number
}

const nothing: readonly RegistrationEntry[] = []

/** How many entries all that is remembered holds together: 16 MB of references, each way. */
const mostRemembered = 2_000_000
const mostSubtrees = 100_000
/** Longer ones are sooner made anew than kept for every agent. */
const longestUnion = 1_000

/**
 * All registration entries, and which of them an agent may have. What lies below a SPIFFE ID is remembered for all
 * agents that have this ID, so that a thousand agents behind one alias cost no more than one; a change forgets what it
 * touches and nothing else.
 */
export class EntryIndex {
  readonly #serverId: string
  readonly #memberPrefix: string
  readonly #reservedPrefix: string
  readonly #entries = new Map<string, RegistrationEntry>()
  readonly #byParent = new Map<string, Map<string, RegistrationEntry>>()
  readonly #aliases = new AliasIndex()
  readonly #demands = new FreshnessDemands()
  #revision = 0
  readonly #subtrees = new Map<string, Subtree>()
  /** How many entries they hold together */
  #remembered = 0

  /** By agent, for those with entries in several subtrees: good while these are the same */
  readonly #unions = new LRUCache<string, { of: readonly WeakRef<Subtree>[]; entries: readonly RegistrationEntry[] }>({
    maxSize: mostRemembered,
    sizeCalculation: ({ entries }) => entries.length + 1,
  })

  constructor(trustDomain: string) {
    this.#memberPrefix = `spiffe://${trustDomain}/`
    this.#reservedPrefix = `${this.#memberPrefix}spire/`
    this.#serverId = `${this.#reservedPrefix}server`
  }

  /** Grows with every change of any entry. */
  get revision(): number {
    return this.#revision
  }

  get size(): number {
    return this.#entries.size
  }

  get(entryId: string): RegistrationEntry | undefined {
    return this.#entries.get(entryId)
  }

  entries(): IterableIterator<RegistrationEntry> {
    return this.#entries.values()
  }

  /**
   * What an agent may know of and ask SVIDs for: the entries below its own ID and below the aliases of nodes that it
   * matches, and those below their SPIFFE IDs in turn. An entry that has expired, or whose demand on the node is not
   * met, is left out with all that only hangs on it.
   */
  authorizedEntries(agent: AgentView, options: AuthorizationOptions): readonly RegistrationEntry[] {
    const subtrees = this.#subtreesOf(agent, options)
    if (subtrees.length < 2) return subtrees[0]?.entries ?? nothing
    const known = this.#unions.get(agent.id)
    if (known?.of.length === subtrees.length && known.of.every((of, index) => of.deref() === subtrees[index])) {
      return known.entries
    }
    const entries = unionOf(subtrees)
    const of = subtrees.map((subtree) => new WeakRef(subtree))
    if (entries.length <= longestUnion) this.#unions.set(agent.id, { of, entries })
    return entries
  }

  /** The entry, if it is among the authorized ones: without going through them. */
  authorizedEntry(agent: AgentView, entryId: string, options: AuthorizationOptions): RegistrationEntry | undefined {
    const entry = this.#entries.get(entryId)
    if (!entry || !admits(entry, this.#classOf(options), options.now)) return undefined
    const isBelow = this.#subtreesOf(agent, options).some(({ parents }) => parents.has(entry.parentId))
    return isBelow && !this.#isAlias(entry) ? entry : undefined
  }

  /** The same for two questions between which no entry has changed, and age made no agent lose one. */
  stateFor(options: AuthorizationOptions): string {
    return `${this.#revision} ${this.#classOf(options).key}`
  }

  /** The entries that the agent would have, had its node attested itself later than it did. */
  withheldEntries(agent: AgentView, options: AuthorizationOptions): RegistrationEntry[] {
    if (this.#demands.size === 0) return []
    const subtrees = this.#subtreesOf(agent, options)
    const agentClass = this.#classOf(options)
    const anyAge = { ...agentClass, freshnessSeconds: 0 }
    return [...this.#demands.entries()].filter(
      (entry) =>
        !admits(entry, agentClass, options.now) &&
        admits(entry, anyAge, options.now) &&
        subtrees.some(({ parents }) => parents.has(entry.parentId)),
    )
  }

  /** Takes an entry in, in the place of what had its id. */
  set(entry: RegistrationEntry): void {
    // Nobody can make such an entry; were there one, it would stand for an agent, or for the server itself.
    if (!entry.spiffeId.startsWith(this.#memberPrefix) || entry.spiffeId.startsWith(this.#reservedPrefix)) {
      this.delete(entry.id)
      return
    }
    const before = this.#entries.get(entry.id)
    if (before) this.#take(before)
    this.#entries.set(entry.id, entry)
    if (this.#isAlias(entry)) this.#aliases.add(entry)
    else {
      const siblings = this.#byParent.get(entry.parentId)
      if (siblings) siblings.set(entry.id, entry)
      else this.#byParent.set(entry.parentId, new Map([[entry.id, entry]]))
    }
    this.#demands.add(entry)
    this.#changed(before ? [before.parentId, entry.parentId] : [entry.parentId])
  }

  delete(entryId: string): void {
    const before = this.#entries.get(entryId)
    if (!before) return
    this.#take(before)
    this.#changed([before.parentId])
  }

  #take(entry: RegistrationEntry): void {
    this.#entries.delete(entry.id)
    this.#demands.delete(entry)
    this.#aliases.delete(entry.id)
    const siblings = this.#byParent.get(entry.parentId)
    siblings?.delete(entry.id)
    if (siblings?.size === 0) this.#byParent.delete(entry.parentId)
  }

  #changed(parentIds: readonly string[]): void {
    this.#revision += 1
    for (const [key, { parents, entries }] of this.#subtrees) {
      if (!parentIds.some((parentId) => parents.has(parentId))) continue
      this.#subtrees.delete(key)
      this.#remembered -= entries.length
    }
  }

  #isAlias({ parentId }: RegistrationEntry): boolean {
    return parentId === this.#serverId
  }

  #classOf(options: AuthorizationOptions): AgentClass {
    return classOf(options, this.#demands.steps)
  }

  #subtreesOf(agent: AgentView, options: AuthorizationOptions): Subtree[] {
    const agentClass = this.#classOf(options)
    const roots = new Set<string>()
    if (this.#byParent.has(agent.id)) roots.add(agent.id)
    for (const alias of this.#aliases.matching(agent.selectors)) {
      if (this.#byParent.has(alias.spiffeId) && admits(alias, agentClass, options.now)) roots.add(alias.spiffeId)
    }
    return [...roots].map((root) => this.#subtree(root, agentClass, options.now))
  }

  #subtree(root: string, agentClass: AgentClass, now: number): Subtree {
    const key = `${agentClass.key} ${root}`
    const known = this.#subtrees.get(key)
    if (known && known.madeAt <= now && now < known.validUntil) return known
    const subtree = this.#crawl(root, agentClass, now)
    this.#remembered += subtree.entries.length - (known?.entries.length ?? 0)
    if (this.#remembered > mostRemembered || this.#subtrees.size >= mostSubtrees) this.#forget(subtree)
    this.#subtrees.set(key, subtree)
    return subtree
  }

  /** All but one that is about to come; it takes more agents than one server serves to get here. */
  #forget({ entries }: Subtree): void {
    this.#subtrees.clear()
    this.#remembered = entries.length
  }

  /** In a loop rather than by recursion, and into each ID once: entries may be each other's parents. */
  #crawl(root: string, agentClass: AgentClass, now: number): Subtree {
    const entries: RegistrationEntry[] = []
    const parents = new Set([root])
    let validUntil = Number.POSITIVE_INFINITY
    // A set goes on to what is added to it while it is gone through.
    for (const parent of parents) {
      for (const entry of this.#byParent.get(parent)?.values() ?? []) {
        if (!admits(entry, agentClass, now)) continue
        entries.push(entry)
        parents.add(entry.spiffeId)
        if (entry.expiresAt !== undefined) validUntil = Math.min(validUntil, entry.expiresAt)
      }
    }
    return { entries, parents, madeAt: now, validUntil }
  }
}

/** Each entry once: what has its parent in one subtree is in that one. */
function unionOf(subtrees: readonly Subtree[]): RegistrationEntry[] {
  const [largest, ...others] = subtrees.toSorted((one, other) => other.entries.length - one.entries.length)
  const entries = largest?.entries.slice() ?? []
  const seen = [largest as Subtree]
  for (const subtree of others) {
    for (const entry of subtree.entries) {
      if (!seen.some(({ parents }) => parents.has(entry.parentId))) entries.push(entry)
    }
    seen.push(subtree)
  }
  return entries
}
