import type { StoreTransaction } from '../storage/store.ts'
import type { AuditFact } from './event.ts'
import type { AuditLog } from './log.ts'

/** What was changed, and by whom. */
export type MadeChange = Omit<AuditFact, 'outcome'>

/** Thrown to take back a transaction that found nothing to do. */
const nothingToDo = Symbol('nothing to do')

/**
 * A change that says, once it is made, what it was. Where it says nothing, as when another replica was first, nothing
 * is written, not even the audit event.
 * @returns whether anything was changed
 */
export async function recordIfChanged(
  audit: Pick<AuditLog, 'recordChange'>,
  change: (transaction: StoreTransaction) => Promise<MadeChange | undefined>,
): Promise<boolean> {
  let made: MadeChange | undefined
  try {
    await audit.recordChange(
      () => ({ type: '', ...made, outcome: 'success' }),
      async (transaction) => {
        made = await change(transaction)
        if (made === undefined) throw nothingToDo
      },
    )
    return true
  } catch (error) {
    if (error === nothingToDo) return false
    throw error
  }
}
