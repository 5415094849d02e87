import { createApi } from '../apis/manage-apis.ts'
import type { Authority } from '../authority.ts'
import { clientIdPattern } from '../clients/client.ts'
import { createClient, updateClient } from '../clients/manage-clients.ts'
import { setGrant } from '../clients/manage-grants.ts'
import { addClientSecret, revokeClientSecret } from '../clients/manage-secrets.ts'
import { hashClientSecret } from '../clients/secret-hash.ts'
import { StoreError } from '../storage/store.ts'
import { adminAudience, adminScopeNames, adminScopes } from './admin-scopes.ts'
import { changeAs } from './change.ts'

/** Marks the secrets that come from configuration, so that the next one replaces them and no other. */
const label = 'bootstrap'

export interface AdminClientSettings {
  clientId: string
  /** Anything that the operator keeps; 32 characters at least */
  clientSecret: string
}

/**
 * Sees to it that the admin API is there, and a client that holds all of it and proves itself with this secret. A
 * secret that was configured before and differs is revoked. Doing it again changes nothing, and writes nothing.
 * @throws Error when id or secret cannot be safe
 */
export async function ensureAdminClient(authority: Authority, settings: AdminClientSettings): Promise<void> {
  const { clientId, clientSecret } = settings
  if (!clientIdPattern.test(clientId)) throw new Error(`the admin client's id must match ${clientIdPattern}`)
  if (clientSecret.length < 32 || clientSecret.length > 512) {
    throw new Error("the admin client's secret must have 32 to 512 characters; make one with: openssl rand -base64 32")
  }
  await ensureAdminApi(authority)
  await ensureClient(clientId, authority)
  await ensureSecret(clientId, clientSecret, authority)
  const grants = await authority.store.database
    .selectFrom('client_grants')
    .innerJoin('apis', 'apis.id', 'client_grants.api_id')
    .select('client_grants.scopes')
    .where('client_id', '=', clientId)
    .where('audience', '=', adminAudience)
    .executeTakeFirst()
  const held: string[] = grants ? JSON.parse(grants.scopes) : []
  if (!adminScopeNames.every((scope) => held.includes(scope))) {
    await setGrant(clientId, adminAudience, adminScopeNames, authority, {})
  }
}

/** Makes the API whose tokens the admin API takes, and gives it the scopes that newer versions add. */
export async function ensureAdminApi(authority: Authority): Promise<void> {
  const { database } = authority.store
  const scopes = JSON.stringify(adminScopes)
  const row = await database.selectFrom('apis').selectAll().where('audience', '=', adminAudience).executeTakeFirst()
  if (row?.scopes === scopes) return
  if (row) {
    await changeAs({}, authority, {
      announces: { kind: 'api', id: row.id },
      fact: { type: 'api.updated', target: `api/${row.id}`, audience: adminAudience, detail: { changed: ['scopes'] } },
      change: (transaction) => transaction.updateTable('apis').set({ scopes }).where('id', '=', row.id).execute(),
    })
    return
  }
  await createApi({ audience: adminAudience, name: 'Countersign admin API', scopes: adminScopes }, authority, {}).catch(
    unlessAnotherDid,
  )
}

async function ensureClient(id: string, authority: Authority): Promise<void> {
  const row = await authority.store.database.selectFrom('clients').selectAll().where('id', '=', id).executeTakeFirst()
  if (!row) await createClient({ id, name: 'Bootstrap administrator' }, authority, {}).catch(unlessAnotherDid)
  else if (row.disabled) await updateClient(id, { disabled: false }, authority, {})
}

async function ensureSecret(clientId: string, secret: string, authority: Authority): Promise<void> {
  const hash = hashClientSecret(secret, authority.masterKey.clientSecretKey).toString('hex')
  const present = await authority.store.database
    .selectFrom('client_secrets')
    .select(['id', 'hash', 'label'])
    .where('client_id', '=', clientId)
    .execute()
  for (const old of present.filter((row) => row.label === label && row.hash !== hash)) {
    await revokeClientSecret(clientId, old.id, authority, {})
  }
  if (present.every((row) => row.hash !== hash)) await addClientSecret(clientId, { label, secret }, authority, {})
}

/** Replicas start together; the one that comes second finds the work done. */
function unlessAnotherDid(error: unknown): void {
  if (!(error instanceof StoreError && error.code === 'conflict')) throw error
}
