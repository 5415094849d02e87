import { randomBytes } from 'node:crypto'
import { type Administrator, requireHeldOfClient } from '../admin/administrator.ts'
import { changeAs } from '../admin/change.ts'
import type { Authority } from '../authority.ts'
import { insertClientRevocation } from '../revocation/revoke.ts'
import type { StoreTransaction } from '../storage/store.ts'
import type { ClientRow } from '../storage/tables.ts'
import type { ClientPatch } from './client-resource.ts'
import { findClient } from './find-client.ts'
import { insertSecret, makeSecret } from './manage-secrets.ts'

export interface NewClient {
  id?: string | undefined
  name?: string | undefined
  defaultAudience?: string | null | undefined
  disabled?: boolean | undefined
  authMethods?: readonly string[] | null | undefined
  assertionAudience?: 'issuer' | 'token_endpoint' | undefined
  jwksUri?: string | null | undefined
  spiffeIds?: readonly string[] | undefined
  /** One member: `subject_dn`, `san_dns`, ... */
  tlsClientAuth?: Readonly<Record<string, string | undefined>> | null | undefined
}

/** @throws StoreError `conflict` when the id is taken */
export async function createClient(
  client: NewClient,
  authority: Authority,
  administrator: Administrator,
): Promise<string> {
  const id = client.id ?? newClientId()
  await changeAs(administrator, authority, {
    announces: { kind: 'client', id },
    fact: { type: 'client.created', target: `client/${id}` },
    change: (transaction, now) => insertClient(transaction, { ...client, id }, now),
  })
  return id
}

/**
 * The same with a first secret, both or neither.
 * @throws StoreError `conflict` when the id is taken
 */
export async function createClientWithSecret(
  client: NewClient,
  authority: Authority,
  administrator: Administrator,
): Promise<{ id: string; secretId: string; secret: string }> {
  const id = client.id ?? newClientId()
  const secret = makeSecret()
  await changeAs(administrator, authority, {
    announces: { kind: 'client', id },
    fact: { type: 'client.created', target: `client/${id}`, detail: { secret: secret.id } },
    change: async (transaction, now) => {
      await insertClient(transaction, { ...client, id }, now)
      await insertSecret(transaction, id, secret, authority, now)
    },
  })
  return { id, secretId: secret.id, secret: secret.secret }
}

function newClientId(): string {
  return `client_${randomBytes(12).toString('base64url').replaceAll(/[-_]/g, 'x')}`
}

function insertClient(
  transaction: StoreTransaction,
  client: NewClient & { id: string },
  now: number,
): Promise<unknown> {
  return transaction
    .insertInto('clients')
    .values({
      id: client.id,
      name: client.name ?? client.id,
      disabled: client.disabled ? 1 : 0,
      default_audience: client.defaultAudience ?? null,
      auth_methods: client.authMethods ? JSON.stringify(client.authMethods) : null,
      assertion_audience: client.assertionAudience ?? 'issuer',
      jwks_uri: client.jwksUri ?? null,
      spiffe_ids: JSON.stringify(client.spiffeIds ?? []),
      tls_client_auth: client.tlsClientAuth ? JSON.stringify(client.tlsClientAuth) : null,
      created_at: now,
      updated_at: now,
    })
    .execute()
}

/**
 * Changes what the patch names. Disabling a client kills its tokens.
 * @throws Problem `not_found`, `insufficient_scope`
 */
export function updateClient(
  id: string,
  patch: ClientPatch,
  authority: Authority,
  administrator: Administrator,
): Promise<ClientRow> {
  return changeAs(administrator, authority, {
    announces: { kind: 'client', id },
    fact: { type: patch.disabled ? 'client.disabled' : 'client.updated', target: `client/${id}`, detail: told(patch) },
    change: async (transaction, now) => {
      const before = await findClient(transaction, id)
      await requireHeldOfClient(transaction, id, administrator)
      if (patch.disabled && before.disabled === 0) await insertClientRevocation(transaction, id, authority)
      return transaction
        .updateTable('clients')
        .set({
          ...(patch.name !== undefined && { name: patch.name }),
          ...(patch.disabled !== undefined && { disabled: patch.disabled ? 1 : 0 }),
          ...(patch.default_audience !== undefined && { default_audience: patch.default_audience }),
          ...(patch.auth_methods !== undefined && {
            auth_methods: patch.auth_methods === null ? null : JSON.stringify(patch.auth_methods),
          }),
          ...(patch.assertion_audience !== undefined && { assertion_audience: patch.assertion_audience }),
          ...(patch.jwks_uri !== undefined && { jwks_uri: patch.jwks_uri }),
          ...(patch.spiffe_ids !== undefined && { spiffe_ids: JSON.stringify(patch.spiffe_ids) }),
          ...(patch.tls_client_auth !== undefined && {
            tls_client_auth: patch.tls_client_auth === null ? null : JSON.stringify(patch.tls_client_auth),
          }),
          updated_at: now,
        })
        .where('id', '=', id)
        .returningAll()
        .executeTakeFirstOrThrow()
    },
  })
}

/**
 * Its credentials and grants go with it, its tokens die, and no API goes on letting that id introspect: another client
 * may be given the id later.
 * @throws Problem `not_found`, `insufficient_scope`
 */
export async function deleteClient(id: string, authority: Authority, administrator: Administrator): Promise<void> {
  await changeAs(administrator, authority, {
    announces: { kind: 'client', id },
    fact: { type: 'client.deleted', target: `client/${id}` },
    change: async (transaction) => {
      await findClient(transaction, id)
      await requireHeldOfClient(transaction, id, administrator)
      await insertClientRevocation(transaction, id, authority)
      await transaction.deleteFrom('clients').where('id', '=', id).execute()
      await forgetIntrospector(transaction, id)
    },
  })
}

/** What decides over who gets in is told with its value; it is not secret. */
function told(patch: ClientPatch) {
  return {
    changed: Object.keys(patch),
    ...(patch.disabled !== undefined && { disabled: patch.disabled }),
    ...(patch.assertion_audience !== undefined && { assertion_audience: patch.assertion_audience }),
    ...(patch.jwks_uri !== undefined && { jwks_uri: patch.jwks_uri }),
    ...(patch.auth_methods !== undefined && { auth_methods: patch.auth_methods }),
    ...(patch.spiffe_ids !== undefined && { spiffe_ids: patch.spiffe_ids }),
    ...(patch.tls_client_auth !== undefined && {
      tls_client_auth: patch.tls_client_auth && JSON.stringify(patch.tls_client_auth),
    }),
  }
}

async function forgetIntrospector(transaction: StoreTransaction, id: string): Promise<void> {
  const apis = await transaction
    .selectFrom('apis')
    .select(['id', 'introspectors'])
    .where('introspectors', 'like', `%"${id}"%`)
    .execute()
  for (const api of apis) {
    const introspectors: string[] = JSON.parse(api.introspectors)
    await transaction
      .updateTable('apis')
      .set({ introspectors: JSON.stringify(introspectors.filter((introspector) => introspector !== id)) })
      .where('id', '=', api.id)
      .execute()
  }
}
