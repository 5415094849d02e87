import { Problem } from '../http/problem.ts'
import type { Database } from '../storage/store.ts'
import type { ClientRow } from '../storage/tables.ts'
import { clientIdPattern } from './client.ts'

/** @throws Problem `not_found` */
export async function findClient(database: Database, id: string): Promise<ClientRow> {
  const row = clientIdPattern.test(id)
    ? await database.selectFrom('clients').selectAll().where('id', '=', id).executeTakeFirst()
    : undefined
  if (!row) throw new Problem(404, 'not_found', 'there is no client with this id')
  return row
}
