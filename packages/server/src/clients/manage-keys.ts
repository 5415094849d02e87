import { randomBytes } from 'node:crypto'
import { jwkThumbprint } from '@countersign/tokens'
import { type Administrator, requireHeldOfClient } from '../admin/administrator.ts'
import { changeAs } from '../admin/change.ts'
import type { Authority } from '../authority.ts'
import { Problem } from '../http/problem.ts'
import type { ClientKeyRow } from '../storage/tables.ts'
import { findClient } from './find-client.ts'
import { type CheckedKey, kidPattern } from './key-resource.ts'

export const mostKeys = 20

/** @throws Problem `not_found`, `too_many_keys`, `key_registered`, `insufficient_scope`; StoreError `conflict` (kid) */
export function addClientKey(
  clientId: string,
  { kid, thumbprint, jwk, certificate }: CheckedKey,
  label: string | undefined,
  authority: Authority,
  administrator: Administrator,
): Promise<ClientKeyRow> {
  const id = `key_${randomBytes(9).toString('base64url')}`
  return changeAs(administrator, authority, {
    announces: { kind: 'client', id: clientId },
    fact: { type: 'key.added', target: `client/${clientId}/key/${kid}`, detail: { id, thumbprint } },
    change: async (transaction, now) => {
      await findClient(transaction, clientId)
      await requireHeldOfClient(transaction, clientId, administrator)
      const present = await transaction
        .selectFrom('client_keys')
        .select(['kid', 'jwk'])
        .where('client_id', '=', clientId)
        .execute()
      if (present.length >= mostKeys) {
        throw new Problem(409, 'too_many_keys', `a client has at most ${mostKeys} keys: remove one first`)
      }
      const same = present.find((key) => jwkThumbprint(JSON.parse(key.jwk)) === thumbprint)
      // Under a second kid or algorithm, removing it once would not remove it.
      if (same) throw new Problem(409, 'key_registered', `the client has this key already, as kid "${same.kid}"`)
      return transaction
        .insertInto('client_keys')
        .values({
          id,
          client_id: clientId,
          kid,
          jwk: JSON.stringify(jwk),
          certificate: certificate ?? null,
          label: label ?? null,
          created_at: now,
          last_used_at: null,
        })
        .returningAll()
        .executeTakeFirstOrThrow()
    },
  })
}

/** @throws Problem `not_found`, `insufficient_scope` */
export async function removeClientKey(
  clientId: string,
  kid: string,
  authority: Authority,
  administrator: Administrator,
): Promise<void> {
  if (!kidPattern.test(kid)) throw noSuchKey()
  await changeAs(administrator, authority, {
    announces: { kind: 'client', id: clientId },
    fact: { type: 'key.removed', target: `client/${clientId}/key/${kid}` },
    change: async (transaction) => {
      await findClient(transaction, clientId)
      await requireHeldOfClient(transaction, clientId, administrator)
      const deleted = await transaction
        .deleteFrom('client_keys')
        .where('client_id', '=', clientId)
        .where('kid', '=', kid)
        .executeTakeFirst()
      if (!deleted.numDeletedRows) throw noSuchKey()
    },
  })
}

function noSuchKey(): Problem {
  return new Problem(404, 'not_found', 'this client has no key with this kid')
}
