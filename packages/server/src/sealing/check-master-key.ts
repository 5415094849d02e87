import { type Store, StoreError } from '../storage/store.ts'
import type { MasterKey } from './master-key.ts'

const setting = 'master_key_check'
const known = Buffer.from('countersign')

/**
 * Makes sure that this is the master key that the database was made with, before anything is written under another.
 * @throws StoreError `wrong_master_key`
 */
export async function checkMasterKey({ database }: Pick<Store, 'database'>, masterKey: MasterKey): Promise<void> {
  await database
    .insertInto('settings')
    .values({ name: setting, value: masterKey.seal(known, setting) })
    .onConflict((conflict) => conflict.column('name').doNothing())
    .execute()
  const { value } = await database
    .selectFrom('settings')
    .select('value')
    .where('name', '=', setting)
    .executeTakeFirstOrThrow()
  try {
    masterKey.open(value, setting)
  } catch {
    throw new StoreError(
      'wrong_master_key',
      'the master key is not the one this database was made with; set COUNTERSIGN_MASTER_KEY to that one',
    )
  }
}
