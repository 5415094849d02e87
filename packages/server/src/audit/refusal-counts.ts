import { addressKey } from '@countersign/limits'
import type { AuditFact } from './event.ts'

export interface CountedRefusal {
  address: string
  /** Name of the limit that was reached */
  limit: string
  clientId?: string
}

interface Count {
  count: number
  limits: Set<string>
  clients: Set<string>
}

const mostAddresses = 256
const mostClients = 10

/**
 * Refusals beyond a rate limit, counted into one audit row per address and second, so that a flood of them fills
 * neither the disk nor the memory. Beyond 256 addresses in one second the rest is counted together, without address.
 */
export class RefusalCounts {
  readonly #record: (fact: AuditFact) => Promise<void>
  readonly #windowMilliseconds: number
  #counts = new Map<string, Count>()
  #timer: NodeJS.Timeout | undefined

  constructor(record: (fact: AuditFact) => Promise<void>, windowMilliseconds = 1000) {
    this.#record = record
    this.#windowMilliseconds = windowMilliseconds
  }

  note({ address, limit, clientId }: CountedRefusal): void {
    const counted = this.#countOf(addressKey(address))
    counted.count += 1
    counted.limits.add(limit)
    if (clientId !== undefined && counted.clients.size < mostClients) counted.clients.add(clientId)
    this.#timer ??= setTimeout(() => void this.flush(), this.#windowMilliseconds).unref()
  }

  /** Writes what was counted, and keeps for the next time what could not be written. */
  async flush(): Promise<void> {
    clearTimeout(this.#timer)
    this.#timer = undefined
    const counts = this.#counts
    this.#counts = new Map()
    await Promise.all([...counts].map(([address, counted]) => this.#write(address, counted)))
  }

  async #write(address: string, { count, limits, clients }: Count): Promise<void> {
    const [only, another] = clients
    try {
      await this.#record({
        type: 'rate_limit.exceeded',
        outcome: 'failure',
        address: address === '' ? undefined : address,
        client_id: another === undefined ? only : undefined,
        count,
        detail: { limits: [...limits], ...(another === undefined ? {} : { clients: [...clients] }) },
      })
    } catch {
      const later = this.#countOf(address)
      later.count += count
      for (const limit of limits) later.limits.add(limit)
      this.#timer ??= setTimeout(() => void this.flush(), this.#windowMilliseconds).unref()
    }
  }

  #countOf(address: string): Count {
    const known = this.#counts.get(address)
    if (known) return known
    // The empty key, for all the rest, is always let in.
    if (this.#counts.size >= mostAddresses && address !== '') return this.#countOf('')
    const fresh = { count: 0, limits: new Set<string>(), clients: new Set<string>() }
    this.#counts.set(address, fresh)
    return fresh
  }
}
