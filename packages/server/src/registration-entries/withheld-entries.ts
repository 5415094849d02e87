import { createHash } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import type { AuditLog } from '../audit/log.ts'
import type { AgentView, AuthorizationOptions, EntryIndex } from './entry-index.ts'

/** How many are named in one event; the rest is counted. */
const mostNamed = 20

interface Told {
  /** What all of it depends on */
  state: string
  /** What was told of it */
  content: string
}

export interface WithheldEntriesOptions {
  index: EntryIndex
  audit: Pick<AuditLog, 'record'>
  maximumAgents?: number
}

/**
 * Tells the audit log which entries an agent does not get because its node attested itself too long ago: once for each
 * agent, and again when the entries or the attestation have changed. An agent asks every few seconds.
 */
export class WithheldEntries {
  readonly #index: EntryIndex
  readonly #audit: Pick<AuditLog, 'record'>
  readonly #told: LRUCache<string, Told>

  constructor({ index, audit, maximumAgents = 50_000 }: WithheldEntriesOptions) {
    this.#index = index
    this.#audit = audit
    this.#told = new LRUCache({ maxSize: maximumAgents, sizeCalculation: () => 1 })
  }

  /** @throws StoreError `unavailable` when it could not be told; the next call tells it again */
  async tell(agent: AgentView, options: AuthorizationOptions): Promise<void> {
    const state = `${this.#index.stateFor(options)} ${options.attestedAt}`
    const told = this.#told.get(agent.id)
    if (told?.state === state) return
    const withheld = this.#index.withheldEntries(agent, options)
    const revisions = withheld.map(({ id, revisionNumber }) => `${id} ${revisionNumber}`).join()
    const content = createHash('sha256').update(`${options.attestedAt} ${revisions}`).digest('base64url')
    this.#told.set(agent.id, { state, content })
    if (withheld.length === 0 || told?.content === content) return
    try {
      await this.#audit.record({
        type: 'entry.withheld',
        outcome: 'failure',
        target: `node/${agent.id}`,
        reason: 'the node attested itself longer ago than these entries allow',
        count: withheld.length,
        detail: {
          entries: withheld.slice(0, mostNamed).map(({ id }) => id),
          spiffe_ids: withheld.slice(0, mostNamed).map(({ spiffeId }) => spiffeId),
          attested_at: new Date(options.attestedAt * 1000).toISOString(),
        },
      })
    } catch (error) {
      this.#told.delete(agent.id)
      throw error
    }
  }
}
