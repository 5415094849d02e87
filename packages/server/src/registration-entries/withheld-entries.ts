import { createHash } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import type { AuditLog } from '../audit/log.ts'
import type { AgentView, AuthorizationOptions, EntryIndex } from './entry-index.ts'

/** How many are named in one event; the rest is counted. */
const mostNamed = 20

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
  readonly #told: LRUCache<string, string>

  constructor({ index, audit, maximumAgents = 50_000 }: WithheldEntriesOptions) {
    this.#index = index
    this.#audit = audit
    this.#told = new LRUCache({ maxSize: maximumAgents, sizeCalculation: () => 1 })
  }

  /** @throws StoreError `unavailable` when it could not be told; the next call tells it again */
  async tell(agent: AgentView, options: AuthorizationOptions): Promise<void> {
    const withheld = this.#index.withheldEntries(agent, options)
    if (withheld.length === 0) return
    const revisions = withheld.map(({ id, revisionNumber }) => `${id} ${revisionNumber}`).join()
    const state = createHash('sha256').update(`${options.attestedAt} ${revisions}`).digest('base64url')
    if (this.#told.get(agent.id) === state) return
    this.#told.set(agent.id, state)
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
