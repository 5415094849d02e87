import type { Store, StoreTransaction } from './store.ts'

const setting = 'restored'

/** What the server must know of the newest restore as long as the store lives. */
export interface RestoreNote {
  /** Part of the names of all audit chains begun since */
  id: string
  /** Seconds since the epoch, like all times here: when the backup was made */
  backupAt: number
  restoredAt: number
  /** Assertions issued up to here may have been used when the store did not yet know: they are refused */
  assertionsNotBefore: number
}

export async function lastRestore({ database }: Pick<Store, 'database'>): Promise<RestoreNote | undefined> {
  const row = await database.selectFrom('settings').select('value').where('name', '=', setting).executeTakeFirst()
  return row && JSON.parse(row.value)
}

export async function noteRestore(transaction: StoreTransaction, note: RestoreNote): Promise<void> {
  const value = JSON.stringify(note)
  await transaction
    .insertInto('settings')
    .values({ name: setting, value })
    .onConflict((conflict) => conflict.column('name').doUpdateSet({ value }))
    .execute()
}
