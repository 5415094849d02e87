import type { AuditFact } from './event.ts'

/** Longer a verification does not wait for its event to become durable. */
const longestWaitMilliseconds = 1_000

/**
 * Records that something was verified or read. Unlike issuing, verifying goes on when the audit log cannot be written:
 * what was answered in that time is counted, and the count goes on record as soon as anything can.
 */
export class VerificationLog {
  readonly #audit: { record(fact: AuditFact): Promise<void> }
  #unrecorded = 0

  constructor(audit: { record(fact: AuditFact): Promise<void> }) {
    this.#audit = audit
  }

  /** Resolves when the event is durable, or when waiting for that would hold up the answer. Never rejects. */
  async record(fact: AuditFact): Promise<void> {
    const recorded = this.#audit.record(fact).then(
      () => this.#recordGap(),
      () => {
        this.#unrecorded += 1
      },
    )
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, longestWaitMilliseconds)
    })
    await Promise.race([recorded, late])
    clearTimeout(timer)
  }

  #recordGap(): void {
    if (this.#unrecorded === 0) return
    const count = this.#unrecorded
    this.#unrecorded = 0
    const fact: AuditFact = {
      type: 'audit.gap',
      outcome: 'success',
      count,
      reason: 'answers to introspections and readers of revocations, given while the audit log could not be written',
    }
    this.#audit.record(fact).catch(() => {
      this.#unrecorded += count
    })
  }
}
