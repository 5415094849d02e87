import { Problem } from '../http/problem.ts'
import type { Database } from '../storage/store.ts'
import type { ApiRow } from '../storage/tables.ts'
import { apiIdPattern } from './api.ts'

/**
 * @param idOrAudience an audience is compared exactly: no slash, case or escape is forgiven
 * @throws Problem `not_found`
 */
export async function findApi(database: Database, idOrAudience: string): Promise<ApiRow> {
  const row = /^[\x21-\x7e]{1,256}$/.test(idOrAudience)
    ? await database
        .selectFrom('apis')
        .selectAll()
        .where(apiIdPattern.test(idOrAudience) ? 'id' : 'audience', '=', idOrAudience)
        .executeTakeFirst()
    : undefined
  if (!row) throw new Problem(404, 'not_found', 'there is no API with this id or audience')
  return row
}
