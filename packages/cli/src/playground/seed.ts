import {
  type Authority,
  addClientSecret,
  createApi,
  createClient,
  ensureAdminClient,
  setGrant,
} from '@countersign/server'
import type { PlaygroundData } from './data-directory.ts'
import { demoAudience, demoScopes } from './demo-api.ts'

export const demoClientId = 'demo'
export const adminClientId = 'admin'
/** The demo API itself is a client too: so it may follow what has been revoked. */
export const demoApiClientId = 'demo-api'

/** Fills an empty store with what there is to play with; what is there already stays as the user left it. */
export async function seed(authority: Authority, data: PlaygroundData): Promise<void> {
  await ensureAdminClient(authority, { clientId: adminClientId, clientSecret: data.adminSecret })
  if (await isSeeded(authority)) return
  const actor = {}
  const apiId = await createApi(
    { audience: demoAudience, name: 'Demo orders API', scopes: demoScopes, introspectors: [demoApiClientId] },
    authority,
    actor,
  )
  await createClient({ id: demoApiClientId, name: 'The demo API' }, authority, actor)
  await addClientSecret(demoApiClientId, { label: 'playground', secret: data.demoApiSecret }, authority, actor)
  await createClient({ id: demoClientId, name: 'Demo client' }, authority, actor)
  await addClientSecret(demoClientId, { label: 'playground', secret: data.demoSecret }, authority, actor)
  await setGrant(demoClientId, apiId, ['read:orders'], authority, actor)
}

async function isSeeded({ store }: Authority): Promise<boolean> {
  const row = await store.database.selectFrom('clients').select('id').where('id', '=', demoClientId).executeTakeFirst()
  return row !== undefined
}
