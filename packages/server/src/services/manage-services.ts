import type { PublicJwk } from '@countersign/tokens'
import type { Administrator } from '../admin/administrator.ts'
import { changeAs } from '../admin/change.ts'
import { invalid } from '../admin/request-validation.ts'
import type { Authority } from '../authority.ts'
import { Problem } from '../http/problem.ts'
import type { Database, StoreTransaction } from '../storage/store.ts'
import type { ServiceRow } from '../storage/tables.ts'
import { keysOf, mostServiceKeys } from './service.ts'
import { nameOfIssuer, parseServiceName } from './service-name.ts'

/** @param text short, or with `-service` @throws Problem `not_found` */
export async function findService(database: Database, text: string): Promise<ServiceRow> {
  const name = parseServiceName(text)
  const row =
    name === undefined
      ? undefined
      : await database.selectFrom('services').selectAll().where('name', '=', name).executeTakeFirst()
  if (!row) throw new Problem(404, 'not_found', 'there is no service of this name')
  return row
}

/**
 * Publishes these keys as those of a service, in the place of what it had.
 * @throws Problem `invalid` (the name)
 */
export async function setService(
  text: string,
  keys: readonly PublicJwk[],
  authority: Authority,
  administrator: Administrator,
): Promise<{ row: ServiceRow; isNew: boolean }> {
  const name = nameToRegister(text, authority.issuer)
  let before: ServiceRow | undefined
  const row = await changeAs(administrator, authority, {
    announces: { kind: 'service', id: name },
    fact: () => ({
      type: before ? 'service.updated' : 'service.registered',
      target: `service/${name}`,
      detail: difference(before ? keysOf(before) : [], keys),
    }),
    change: async (transaction, now) => {
      before = await transaction.selectFrom('services').selectAll().where('name', '=', name).executeTakeFirst()
      if (before) return updateKeys(transaction, name, keys, now)
      return transaction
        .insertInto('services')
        .values({ name, keys: JSON.stringify(keys), created_at: now, updated_at: now })
        .returningAll()
        .executeTakeFirstOrThrow()
    },
  })
  return { row, isNew: before === undefined }
}

/** The keys that were there stay. @throws Problem `not_found`, `key_registered`, `too_many_keys` */
export async function addServiceKey(
  text: string,
  key: PublicJwk,
  authority: Authority,
  administrator: Administrator,
): Promise<ServiceRow> {
  return changeKeys(text, authority, administrator, (keys) => {
    if (keys.some(({ kid }) => kid === key.kid)) {
      throw new Problem(409, 'key_registered', `the service has this key already, as kid "${key.kid}"`)
    }
    if (keys.length >= mostServiceKeys) {
      throw new Problem(409, 'too_many_keys', `a service has at most ${mostServiceKeys} keys: remove one first`)
    }
    return [...keys, key]
  })
}

/** The last one may go too: then no token of the service is accepted. @throws Problem `not_found` */
export async function removeServiceKey(
  text: string,
  kid: string,
  authority: Authority,
  administrator: Administrator,
): Promise<void> {
  await changeKeys(text, authority, administrator, (keys) => {
    const kept = keys.filter((key) => key.kid !== kid)
    if (kept.length === keys.length) throw new Problem(404, 'not_found', 'this service has no key with this kid')
    return kept
  })
}

/** @throws Problem `not_found` */
export async function unregisterService(
  text: string,
  authority: Authority,
  administrator: Administrator,
): Promise<void> {
  const { name } = await findService(authority.store.database, text)
  let keys: PublicJwk[] = []
  await changeAs(administrator, authority, {
    announces: { kind: 'service', id: name },
    fact: () => ({ type: 'service.unregistered', target: `service/${name}`, detail: difference(keys, []) }),
    change: async (transaction) => {
      keys = keysOf(await findService(transaction, name))
      await transaction.deleteFrom('services').where('name', '=', name).execute()
    },
  })
}

async function changeKeys(
  text: string,
  authority: Authority,
  administrator: Administrator,
  change: (keys: readonly PublicJwk[]) => readonly PublicJwk[],
): Promise<ServiceRow> {
  const { name } = await findService(authority.store.database, text)
  let detail = {}
  return changeAs(administrator, authority, {
    announces: { kind: 'service', id: name },
    fact: () => ({ type: 'service.updated', target: `service/${name}`, detail }),
    change: async (transaction, now) => {
      const before = keysOf(await findService(transaction, name))
      const keys = change(before)
      detail = difference(before, keys)
      return updateKeys(transaction, name, keys, now)
    },
  })
}

function updateKeys(transaction: StoreTransaction, name: string, keys: readonly PublicJwk[], now: number) {
  return transaction
    .updateTable('services')
    .set({ keys: JSON.stringify(keys), updated_at: now })
    .where('name', '=', name)
    .returningAll()
    .executeTakeFirstOrThrow()
}

/** Which keys came and went, for the audit log. */
function difference(before: readonly PublicJwk[], after: readonly PublicJwk[]) {
  const kids = (keys: readonly PublicJwk[], others: readonly PublicJwk[]) =>
    keys.map(({ kid = '' }) => kid).filter((kid) => others.every((other) => other.kid !== kid))
  return { keys_added: kids(after, before), keys_removed: kids(before, after) }
}

function nameToRegister(text: string, issuer: string): string {
  const name = parseServiceName(text)
  if (name === undefined) {
    const message =
      'must be 1 to 63 of a-z 0-9 - and begin with a letter or digit; one "-service" at its end is left away'
    throw invalid([{ path: 'name', message }], 'path')
  }
  if (name === nameOfIssuer(issuer)) {
    throw invalid([{ path: 'name', message: "is the path of the issuer, where the server's own keys stand" }], 'path')
  }
  return name
}
