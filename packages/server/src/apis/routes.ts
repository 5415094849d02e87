import { z } from 'zod'
import { type AdminApp, type AdminContext, needs } from '../admin/admin-app.ts'
import { exactly } from '../admin/fields.ts'
import { decodeCursor, paged, pageOf, pageQuery } from '../admin/paging.ts'
import { conflictIs } from '../http/problem.ts'
import { api, apiPatch, audience, newApi, viewApi } from './api.ts'
import { findApi } from './find-api.ts'
import { createApi, deleteApi, updateApi } from './manage-apis.ts'

const params = z.object({ id: z.string().meta({ description: 'Id, or percent-encoded audience' }) })
const tags = ['APIs']

export function apiRoutes(app: AdminApp, { authority }: AdminContext): void {
  const { database } = authority.store

  app.post(
    '/apis',
    {
      config: needs('apis:write'),
      schema: { tags, summary: 'Create an API', body: newApi, response: { 201: api } },
    },
    async ({ body, administrator }, reply) => {
      const creating = createApi(
        {
          audience: body.audience,
          name: body.name ?? body.audience.slice(0, 200),
          scopes: body.scopes,
          signingAlgorithm: body.signing_alg,
          tokenLifetimeSeconds: body.token_ttl,
          introspectors: body.introspectors,
        },
        authority,
        administrator,
      )
      const id = await conflictIs(`there is an API ${body.audience} already`, creating)
      return reply
        .code(201)
        .header('location', `/api/v1/apis/${id}`)
        .send(viewApi(await findApi(database, id)))
    },
  )

  app.get(
    '/apis',
    {
      config: needs('apis:read'),
      schema: {
        tags,
        summary: 'List APIs',
        querystring: exactly({ ...pageQuery, audience: audience.optional() }),
        response: { 200: pageOf(api) },
      },
    },
    async ({ query }) => {
      let rows = database
        .selectFrom('apis')
        .selectAll()
        .orderBy('id')
        .limit(query.limit + 1)
      if (query.audience !== undefined) rows = rows.where('audience', '=', query.audience)
      if (query.cursor !== undefined) rows = rows.where('id', '>', decodeCursor(query.cursor, ['string'])[0] as string)
      return paged(await rows.execute(), query, ({ id }) => [id], viewApi)
    },
  )

  app.get(
    '/apis/:id',
    { config: needs('apis:read'), schema: { tags, summary: 'See an API', params, response: { 200: api } } },
    async ({ params: { id } }) => viewApi(await findApi(database, id)),
  )

  app.patch(
    '/apis/:id',
    {
      config: needs('apis:write'),
      schema: {
        tags,
        summary: 'Change an API',
        description: 'A scope that the API loses is taken from every grant. The audience cannot change.',
        params,
        body: apiPatch,
        response: { 200: api },
      },
    },
    async ({ params: { id }, body, administrator }) => viewApi(await updateApi(id, body, authority, administrator)),
  )

  app.delete(
    '/apis/:id',
    { config: needs('apis:write'), schema: { tags, summary: 'Delete an API and its grants', params } },
    async ({ params: { id }, administrator }, reply) => {
      await deleteApi(id, authority, administrator)
      return reply.code(204).send()
    },
  )
}
