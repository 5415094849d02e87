import { z } from 'zod'
import { type AdminApp, type AdminContext, needs } from '../admin/admin-app.ts'
import { exactly, time, toTime } from '../admin/fields.ts'
import { decodeCursor, paged, pageOf, pageQuery } from '../admin/paging.ts'
import type { ClientGrantRow } from '../storage/tables.ts'
import { findClient } from './find-client.ts'
import { removeGrant, setGrant } from './manage-grants.ts'

const tags = ['Grants']
const params = z.object({ id: z.string() })
const oneParams = params.extend({
  api: z.string().meta({ description: 'Id, or percent-encoded audience, of the API' }),
})

const grant = z.object({
  client_id: z.string(),
  api_id: z.string(),
  audience: z.string(),
  scopes: z.array(z.string()),
  created_at: time,
})

export function grantRoutes(app: AdminApp, { authority }: AdminContext): void {
  const { database } = authority.store

  app.put(
    '/clients/:id/grants/:api',
    {
      config: needs('clients:write'),
      schema: {
        tags,
        summary: 'Set what a client may do at an API',
        description: 'Replaces what it might do there before.',
        params: oneParams,
        body: exactly({ scopes: z.array(z.string().min(1).max(128)).max(200) }),
        response: { 200: grant },
      },
    },
    async ({ params: { id, api }, body, administrator }) => {
      await findClient(database, id)
      return viewGrant(await setGrant(id, api, body.scopes, authority, administrator))
    },
  )

  app.get(
    '/clients/:id/grants',
    {
      config: needs('clients:read'),
      schema: {
        tags,
        summary: 'List what a client may do',
        params,
        querystring: exactly(pageQuery),
        response: { 200: pageOf(grant) },
      },
    },
    async ({ params: { id }, query }) => {
      await findClient(database, id)
      let rows = database
        .selectFrom('client_grants')
        .innerJoin('apis', 'apis.id', 'client_grants.api_id')
        .selectAll('client_grants')
        .select('apis.audience')
        .where('client_id', '=', id)
        .orderBy('api_id')
      if (query.cursor !== undefined) {
        rows = rows.where('api_id', '>', decodeCursor(query.cursor, ['string'])[0] as string)
      }
      return paged(await rows.limit(query.limit + 1).execute(), query, (row) => [row.api_id], viewGrant)
    },
  )

  app.delete(
    '/clients/:id/grants/:api',
    {
      config: needs('clients:write'),
      schema: { tags, summary: 'Take away what a client may do at an API', params: oneParams },
    },
    async ({ params: { id, api }, administrator }, reply) => {
      await findClient(database, id)
      await removeGrant(id, api, authority, administrator)
      return reply.code(204).send()
    },
  )
}

function viewGrant(row: ClientGrantRow & { audience: string }): z.infer<typeof grant> {
  return {
    client_id: row.client_id,
    api_id: row.api_id,
    audience: row.audience,
    scopes: JSON.parse(row.scopes),
    created_at: toTime(row.created_at),
  }
}
