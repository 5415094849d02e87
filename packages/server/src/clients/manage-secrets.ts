import { randomBytes } from 'node:crypto'
import { createClientSecret } from '@countersign/tokens'
import { type Administrator, requireHeldOfClient } from '../admin/administrator.ts'
import { changeAs } from '../admin/change.ts'
import type { Authority } from '../authority.ts'
import { Problem } from '../http/problem.ts'
import type { StoreTransaction } from '../storage/store.ts'
import { findClient } from './find-client.ts'
import { hashClientSecret } from './secret-hash.ts'

/** Each one is a comparison at every authentication. */
export const mostSecrets = 10

export interface NewSecret {
  label?: string | undefined
  /** Seconds since the epoch */
  expiresAt?: number | undefined
  /** For a secret that was made elsewhere (the playground's, a bootstrap admin's); clients never choose theirs */
  secret?: string | undefined
}

/**
 * Adds one more active secret; those there are stay valid.
 * @returns the only sight of the secret that there will ever be
 * @throws Problem `not_found`, `too_many_secrets`, `insufficient_scope`
 */
export async function addClientSecret(
  clientId: string,
  options: NewSecret,
  authority: Authority,
  administrator: Administrator,
): Promise<{ id: string; secret: string }> {
  const { id, secret } = makeSecret(options.secret)
  await changeAs(administrator, authority, {
    announces: { kind: 'client', id: clientId },
    fact: { type: 'secret.created', target: `client/${clientId}/secret/${id}` },
    change: async (transaction, now) => {
      await findClient(transaction, clientId)
      await requireHeldOfClient(transaction, clientId, administrator)
      const present = await transaction
        .selectFrom('client_secrets')
        .select('id')
        .where('client_id', '=', clientId)
        .execute()
      if (present.length >= mostSecrets) {
        throw new Problem(409, 'too_many_secrets', `a client has at most ${mostSecrets} secrets: revoke one first`)
      }
      await insertSecret(transaction, clientId, { ...options, id, secret }, authority, now)
    },
  })
  return { id, secret }
}

/** A new secret's id, and the secret itself unless it was made elsewhere. */
export function makeSecret(secret = createClientSecret()): { id: string; secret: string } {
  return { id: `sec_${randomBytes(9).toString('base64url')}`, secret }
}

export function insertSecret(
  transaction: StoreTransaction,
  clientId: string,
  { id, secret, label, expiresAt }: NewSecret & { id: string; secret: string },
  { masterKey }: Authority,
  now: number,
): Promise<unknown> {
  return transaction
    .insertInto('client_secrets')
    .values({
      id,
      client_id: clientId,
      hash: hashClientSecret(secret, masterKey.clientSecretKey).toString('hex'),
      label: label ?? null,
      created_at: now,
      expires_at: expiresAt ?? null,
      last_used_at: null,
    })
    .execute()
}

/** @throws Problem `not_found`, `insufficient_scope` */
export async function revokeClientSecret(
  clientId: string,
  secretId: string,
  authority: Authority,
  administrator: Administrator,
): Promise<void> {
  await changeAs(administrator, authority, {
    announces: { kind: 'client', id: clientId },
    fact: { type: 'secret.revoked', target: `client/${clientId}/secret/${secretId.slice(0, 64)}` },
    change: async (transaction) => {
      await findClient(transaction, clientId)
      await requireHeldOfClient(transaction, clientId, administrator)
      const deleted = /^sec_[A-Za-z0-9_-]{1,32}$/.test(secretId)
        ? await transaction
            .deleteFrom('client_secrets')
            .where('client_id', '=', clientId)
            .where('id', '=', secretId)
            .executeTakeFirst()
        : undefined
      if (!deleted?.numDeletedRows) throw new Problem(404, 'not_found', 'this client has no secret with this id')
    },
  })
}
