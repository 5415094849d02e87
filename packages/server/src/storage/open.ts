import { openPostgresStore } from './postgres.ts'
import { openSqliteStore } from './sqlite.ts'
import { type Store, StoreError } from './store.ts'

/**
 * @param url `sqlite:PATH` or `postgres://...`
 * @throws StoreError `unavailable` with a sentence that says which database and why
 */
export function openStore(url: string): Promise<Store> {
  if (url.startsWith('sqlite:')) return openSqliteStore(url.slice('sqlite:'.length))
  if (/^postgres(ql)?:\/\//.test(url)) return openPostgresStore(url)
  const scheme = url.slice(0, Math.max(0, url.indexOf(':')))
  throw new StoreError(
    'unavailable',
    `the database URL begins with "${scheme}:"; use sqlite:PATH or postgres://USER:PASSWORD@HOST/DATABASE`,
  )
}
