import { randomBytes } from 'node:crypto'
import { createClientSecret } from '@countersign/tokens'
import type { Authority } from '../authority.ts'
import type { Actor } from '../signing-keys/lifecycle.ts'
import { announce } from '../storage/change-feed.ts'
import { hashClientSecret } from './secret-hash.ts'

export interface NewClient {
  id?: string
  name?: string
  defaultAudience?: string
  disabled?: boolean
}

/** @throws StoreError `conflict` when the id is taken */
export async function createClient(client: NewClient, authority: Authority, actor: Actor): Promise<string> {
  const id = client.id ?? `client_${randomBytes(12).toString('base64url').replaceAll(/[-_]/g, 'x')}`
  await authority.audit.recordChange(
    { ...actor, type: 'client.created', outcome: 'success', target: `client/${id}` },
    async (transaction) => {
      const now = authority.now()
      await transaction
        .insertInto('clients')
        .values({
          id,
          name: client.name ?? id,
          disabled: client.disabled ? 1 : 0,
          default_audience: client.defaultAudience ?? null,
          auth_methods: null,
          assertion_audience: 'issuer',
          jwks_uri: null,
          created_at: now,
          updated_at: now,
        })
        .execute()
      await announce(transaction, authority.store, { kind: 'client', id, at: now })
    },
  )
  return id
}

/**
 * Adds one more active secret; those there are stay valid.
 * @param secret for a secret that was made elsewhere (the playground's, a bootstrap admin's)
 * @returns the only sight of the secret that there will ever be
 */
export async function addClientSecret(
  clientId: string,
  options: { label?: string; expiresAt?: number; secret?: string },
  authority: Authority,
  actor: Actor,
): Promise<{ id: string; secret: string }> {
  const id = `sec_${randomBytes(9).toString('base64url')}`
  const secret = options.secret ?? createClientSecret()
  await authority.audit.recordChange(
    { ...actor, type: 'secret.created', outcome: 'success', target: `client/${clientId}/secret/${id}` },
    async (transaction) => {
      const now = authority.now()
      await transaction
        .insertInto('client_secrets')
        .values({
          id,
          client_id: clientId,
          hash: hashClientSecret(secret, authority.masterKey.clientSecretKey).toString('hex'),
          label: options.label ?? null,
          created_at: now,
          expires_at: options.expiresAt ?? null,
          last_used_at: null,
        })
        .execute()
      await announce(transaction, authority.store, { kind: 'client', id: clientId, at: now })
    },
  )
  return { id, secret }
}

/** Sets what a client may do at one API; what it had there before is replaced. */
export async function setGrant(
  clientId: string,
  apiId: string,
  scopes: readonly string[],
  authority: Authority,
  actor: Actor,
): Promise<void> {
  await authority.audit.recordChange(
    { ...actor, type: 'grant.set', outcome: 'success', target: `client/${clientId}`, detail: { api: apiId, scopes } },
    async (transaction) => {
      const now = authority.now()
      await transaction
        .insertInto('client_grants')
        .values({ client_id: clientId, api_id: apiId, scopes: JSON.stringify(scopes), created_at: now })
        .onConflict((conflict) =>
          conflict.columns(['client_id', 'api_id']).doUpdateSet({ scopes: JSON.stringify(scopes) }),
        )
        .execute()
      await announce(transaction, authority.store, { kind: 'client', id: clientId, at: now })
    },
  )
}
