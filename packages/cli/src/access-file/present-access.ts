import { type AdminApi, path } from '../admin-api.ts'
import { adminAudience } from '../admin-audience.ts'
import { note } from '../output.ts'
import type { Api, Client, Entry, Grant } from '../resources.ts'
import { ServerRefusal } from '../server-answer.ts'

export interface PresentClient extends Client {
  grants: readonly Grant[]
}

/** What the server has, as far as it matters. */
export interface PresentAccess {
  /** By audience */
  apis: Map<string, Api>
  /** By id */
  clients: Map<string, PresentClient>
  entries: readonly Entry[]
}

export interface Extent {
  /** Only these clients, not all */
  clientIds?: readonly string[]
  /** `where possible`: none where the server has no workload identity, or the caller may not see entries */
  entries: 'all' | 'where possible' | 'none'
}

const parallel = 8

/** What the server has, as far as the extent says; always all APIs. */
export async function readPresentAccess(admin: AdminApi, { clientIds, entries }: Extent): Promise<PresentAccess> {
  const apis = await admin.list<Api>('/apis')
  const clients =
    clientIds === undefined ? (await admin.list<Client>('/clients')).items : await findClients(admin, clientIds)
  const present = await inParallel(clients, async (client) => {
    const { items } = await admin.list<Grant>(path`/clients/${client.id}/grants`)
    return { ...client, grants: items }
  })
  return {
    apis: new Map(apis.items.map((api) => [api.audience, api])),
    clients: new Map(present.map((client) => [client.id, client])),
    entries: entries === 'none' ? [] : await readEntries(admin, entries === 'all'),
  }
}

async function readEntries(admin: AdminApi, isNeeded: boolean): Promise<readonly Entry[]> {
  try {
    return (await admin.list<Entry>('/entries')).items
  } catch (error) {
    if (isNeeded || !(error instanceof ServerRefusal)) throw error
    // Not even told of where there is no workload identity.
    if (error.reason === 'no_trust_domain' || error.status === 404) return []
    if (error.status !== 403) throw error
    note('Registration entries are left out: you may not see them (entries:read).')
    return []
  }
}

/** The admin API comes with every server and is no business of an access file. */
export function isBuiltin({ audience }: Pick<Api, 'audience'>): boolean {
  return audience === adminAudience
}

async function findClients(admin: AdminApi, ids: readonly string[]): Promise<Client[]> {
  const found = await inParallel(ids, async (id) => {
    try {
      return await admin.get<Client>(path`/clients/${id}`)
    } catch (error) {
      if (error instanceof ServerRefusal && error.status === 404) return undefined
      throw error
    }
  })
  return found.filter((client) => client !== undefined)
}

async function inParallel<Item, Result>(
  items: readonly Item[],
  work: (item: Item) => Promise<Result>,
): Promise<Result[]> {
  const results: Result[] = []
  for (let start = 0; start < items.length; start += parallel) {
    results.push(...(await Promise.all(items.slice(start, start + parallel).map(work))))
  }
  return results
}
