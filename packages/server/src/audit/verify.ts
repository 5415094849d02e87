import { createPublicKey, type JsonWebKey, KeyObject } from 'node:crypto'
import { canonicalJson } from '@countersign/tokens'
import { chainHash, chainStart, isHeadSigned } from './chain.ts'
import type { AuditHead } from './event.ts'

export type BrokenPlaceProblem =
  /** What is exported is no event of a chain at all */
  | 'malformed'
  /** The content does not fit the hash: altered, or another event put in its place */
  | 'edited'
  /** Events are missing between two others, or before the first */
  | 'removed'
  /** An event stands before one that it should follow */
  | 'reordered'
  /** A sequence number is there a second time */
  | 'inserted'
  /** Every hash fits, but not the signed head: rewritten, with all hashes computed anew */
  | 'rewritten'
  /** Events up to the signed head are missing at the end */
  | 'tail_cut'
  /** Events after the signed head: added by someone without the audit key, or the head was put back */
  | 'beyond_head'
  /** A chain has events and no head */
  | 'head_missing'
  /** A head is not signed by the audit key */
  | 'head_signature'
  /** The chain no longer holds the event that a head noted earlier speaks of */
  | 'noted_head_missing'
  /** The event that a head noted earlier speaks of is another one now */
  | 'noted_head_changed'
  /** A head noted earlier is not signed by the audit key */
  | 'noted_head_signature'

export interface BrokenPlace {
  chain: string
  sequence: number
  problem: BrokenPlaceProblem
  /** One sentence for whoever has to look into it */
  message: string
}

export interface AuditEvidence {
  /** As the admin API shows them (event members plus `hash`), each chain's in ascending order; chains may be mixed */
  events: AsyncIterable<unknown> | Iterable<unknown>
  heads: Iterable<AuditHead>
  /** The audit key's public half, as a JWK (as `/audit-events/heads` shows it) or a KeyObject */
  publicKey: KeyObject | JsonWebKey
  /** Heads written down earlier, and kept where the server's administrators cannot reach */
  notedHeads?: Iterable<AuditHead>
  /** The heads were read before the events of a server at work, so that events after a head are no finding */
  allowNewer?: boolean
}

export interface ChainVerdict {
  /** The first broken place of every chain that has one; empty when all chains hold */
  broken: BrokenPlace[]
  /** How far each chain was found whole */
  chains: { chain: string; sequence: number; hash: string }[]
}

/** Checks whole audit chains, offline: needs nothing but what is passed in. Memory does not grow with the events. */
export async function verifyChains(evidence: AuditEvidence): Promise<ChainVerdict> {
  const { publicKey } = evidence
  const key = publicKey instanceof KeyObject ? publicKey : createPublicKey({ key: publicKey, format: 'jwk' })
  const walks = new Map<string, ChainWalk>()
  const walkOf = (chain: string) => {
    let walk = walks.get(chain)
    if (!walk) {
      walk = new ChainWalk(chain)
      walks.set(chain, walk)
    }
    return walk
  }
  for (const head of evidence.heads) walkOf(head.chain).expect(head, 'current', key)
  for (const head of evidence.notedHeads ?? []) walkOf(head.chain).expect(head, 'noted', key)
  for await (const event of evidence.events) walkOf(chainOf(event)).follow(event)
  const broken = [...walks.values()].map((walk) => walk.conclude(evidence.allowNewer ?? false))
  return {
    broken: broken.filter((place) => place !== undefined),
    chains: [...walks.values()].map(({ chain, sequence, hash }) => ({ chain, sequence, hash })),
  }
}

interface ExportedEvent {
  chain: string
  sequence: number
  hash: string
  [member: string]: unknown
}

/** One chain, read from its start to its end. */
class ChainWalk {
  readonly chain: string
  sequence = 0
  hash = chainStart
  #broken: BrokenPlace | undefined
  #head: AuditHead | undefined
  readonly #noted: AuditHead[] = []

  constructor(chain: string) {
    this.chain = chain
  }

  expect(head: AuditHead, kind: 'current' | 'noted', key: KeyObject): void {
    if (kind === 'current') this.#head = head
    else this.#noted.push(head)
    if (!isSigned(head, key)) {
      const [problem, which] =
        kind === 'current' ? (['head_signature', 'head'] as const) : (['noted_head_signature', 'noted head'] as const)
      this.#break(head.sequence, problem, `the ${which} at ${head.sequence} is not signed by the audit key`)
    }
  }

  follow(event: unknown): void {
    if (this.#broken) {
      this.#reconsider(event)
    } else if (!isExported(event)) {
      this.#break(this.sequence + 1, 'malformed', `what stands after ${this.sequence} is no audit event`)
    } else if (event.sequence !== this.sequence + 1) {
      this.#breakOrder(event.sequence)
    } else {
      this.#advance(event)
    }
  }

  conclude(allowNewer: boolean): BrokenPlace | undefined {
    if (!this.#broken) this.#compareEnd(allowNewer)
    return this.#broken
  }

  #breakOrder(found: number): void {
    const next = this.sequence + 1
    if (found < next) {
      this.#break(found, 'inserted', `event ${found} is there a second time, after ${this.sequence}`)
    } else {
      const missing = found === next + 1 ? `event ${next} is` : `events ${next} to ${found - 1} are`
      this.#break(next, 'removed', `${missing} missing before ${found}`)
    }
  }

  #advance({ hash, ...content }: ExportedEvent): void {
    const { sequence } = content
    if (hashOf(this.hash, content) !== hash) {
      const message = `event ${sequence} does not fit its hash: it was altered, or put in another's place`
      this.#break(sequence as number, 'edited', message)
      return
    }
    this.sequence = sequence as number
    this.hash = hash
    this.#compareHeads()
  }

  #compareHeads(): void {
    for (const noted of this.#noted) {
      if (noted.sequence !== this.sequence || noted.hash === this.hash) continue
      this.#break(noted.sequence, 'noted_head_changed', `event ${noted.sequence} is not the one of the noted head`)
    }
    if (this.#head?.sequence === this.sequence && this.#head.hash !== this.hash) {
      const message = `the signed head at ${this.sequence} is of another event: this or an earlier one was rewritten`
      this.#break(this.sequence, 'rewritten', message)
    }
  }

  #compareEnd(allowNewer: boolean): void {
    const lost = this.#noted.find(({ sequence }) => sequence > this.sequence)
    if (lost) {
      const message = `the chain ends at ${this.sequence}, but a noted head proves that it reached ${lost.sequence}`
      this.#break(this.sequence + 1, 'noted_head_missing', message)
    } else if (!this.#head) {
      // A chain known only by a noted head, all of it found: its events are there, its head was taken away.
      this.#break(this.sequence, 'head_missing', `the chain has ${this.sequence} events and no signed head`)
    } else if (this.#head.sequence > this.sequence) {
      const message = `the chain ends at ${this.sequence}, but its signed head is at ${this.#head.sequence}`
      this.#break(this.sequence + 1, 'tail_cut', message)
    } else if (this.#head.sequence < this.sequence && !allowNewer) {
      const message = `the signed head is at ${this.#head.sequence}, but events follow up to ${this.sequence}`
      this.#break(this.#head.sequence + 1, 'beyond_head', message)
    }
  }

  /** What seemed to be missing comes later: then the order was changed. */
  #reconsider(event: unknown): void {
    if (this.#broken?.problem !== 'removed' || !isExported(event) || event.sequence !== this.#broken.sequence) return
    this.#broken.problem = 'reordered'
    this.#broken.message = `event ${event.sequence} stands after one that should follow it`
  }

  #break(sequence: number, problem: BrokenPlaceProblem, message: string): void {
    this.#broken ??= { chain: this.chain, sequence, problem, message: `chain "${this.chain}": ${message}` }
  }
}

function chainOf(event: unknown): string {
  const chain = (event as { chain?: unknown } | null)?.chain
  return typeof chain === 'string' ? chain : '(none)'
}

function isExported(event: unknown): event is ExportedEvent {
  if (typeof event !== 'object' || event === null) return false
  const { sequence, hash } = event as Partial<ExportedEvent>
  return Number.isSafeInteger(sequence) && (sequence as number) > 0 && typeof hash === 'string'
}

function hashOf(previous: string, content: object): string | undefined {
  try {
    return chainHash(previous, canonicalJson(content))
  } catch {
    return undefined
  }
}

function isSigned(head: AuditHead, key: KeyObject): boolean {
  try {
    return isHeadSigned(head, key)
  } catch {
    return false
  }
}
