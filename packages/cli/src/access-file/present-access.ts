import { type AdminApi, path } from '../admin-api.ts'
import { adminAudience } from '../admin-audience.ts'
import type { Api, Client, Grant } from '../resources.ts'
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
}

const parallel = 8

/** All that the server has; or, with `clientIds`, all APIs but only those clients. */
export async function readPresentAccess(admin: AdminApi, clientIds?: readonly string[]): Promise<PresentAccess> {
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
