import { type Store, StoreError } from './store.ts'

/**
 * Loads only the database that is asked for: what the other needs costs memory and time at every start.
 * @param url `sqlite:PATH` or `postgres://...`
 * @throws StoreError `unavailable` with a sentence that says which database and why
 */
export async function openStore(url: string): Promise<Store> {
  if (url.startsWith('sqlite:')) {
    const { openSqliteStore } = await import('./sqlite.ts')
    return openSqliteStore(url.slice('sqlite:'.length))
  }
  if (/^postgres(ql)?:\/\//.test(url)) {
    const { openPostgresStore } = await import('./postgres.ts')
    return openPostgresStore(url)
  }
  const scheme = url.slice(0, Math.max(0, url.indexOf(':')))
  throw new StoreError(
    'unavailable',
    `the database URL begins with "${scheme}:"; use sqlite:PATH or postgres://USER:PASSWORD@HOST/DATABASE`,
  )
}
