import { sql } from 'kysely'
import { z } from 'zod'
import { type AdminApp, type AdminContext, needs } from '../admin/admin-app.ts'
import { exactly } from '../admin/fields.ts'
import { decodeCursor, paged, pageOf, pageQuery } from '../admin/paging.ts'
import { invalid } from '../admin/request-validation.ts'
import { conflictIs } from '../http/problem.ts'
import { client, clientPatch, createdClient, jwksUriFault, newClient, viewClient } from './client-resource.ts'
import { findClient } from './find-client.ts'
import { createClient, createClientWithSecret, deleteClient, updateClient } from './manage-clients.ts'

export const clientParams = z.object({ id: z.string() })
const tags = ['Clients']

export function clientRoutes(app: AdminApp, { authority, allowLoopbackJwksUri }: AdminContext): void {
  const { database } = authority.store

  app.post(
    '/clients',
    {
      config: needs('clients:write'),
      schema: { tags, summary: 'Create a client', body: newClient, response: { 201: createdClient } },
    },
    async ({ body, administrator }, reply) => {
      checkJwksUri(body.jwks_uri)
      const wanted = {
        id: body.id,
        name: body.name,
        disabled: body.disabled,
        defaultAudience: body.default_audience,
        authMethods: body.auth_methods,
        assertionAudience: body.assertion_audience,
        jwksUri: body.jwks_uri,
        spiffeIds: body.spiffe_ids,
        tlsClientAuth: body.tls_client_auth,
      }
      const creating: Promise<{ id: string; secretId?: string; secret?: string }> = body.with_secret
        ? createClientWithSecret(wanted, authority, administrator)
        : createClient(wanted, authority, administrator).then((id) => ({ id }))
      const { id, secretId, secret } = await conflictIs(`there is a client ${body.id} already`, creating)
      return reply
        .code(201)
        .header('location', `/api/v1/clients/${id}`)
        .send({
          ...viewClient(await findClient(database, id)),
          ...(secret !== undefined && { client_secret: secret, secret_id: secretId }),
        })
    },
  )

  app.get(
    '/clients',
    {
      config: needs('clients:read'),
      schema: {
        tags,
        summary: 'List clients',
        querystring: exactly({
          ...pageQuery,
          q: z
            .string()
            .regex(/^[A-Za-z0-9._~-]{0,128}$/, { error: 'must be the beginning of a client id' })
            .optional()
            .meta({ description: 'How the id begins' }),
        }),
        response: { 200: pageOf(client) },
      },
    },
    async ({ query }) => {
      let rows = database
        .selectFrom('clients')
        .selectAll()
        .orderBy('id')
        .limit(query.limit + 1)
      if (query.q) rows = rows.where(sql`substr(id, 1, ${query.q.length})`, '=', query.q)
      if (query.cursor !== undefined) rows = rows.where('id', '>', decodeCursor(query.cursor, ['string'])[0] as string)
      return paged(await rows.execute(), query, ({ id }) => [id], viewClient)
    },
  )

  app.get(
    '/clients/:id',
    {
      config: needs('clients:read'),
      schema: { tags, summary: 'See a client', params: clientParams, response: { 200: client } },
    },
    async ({ params: { id } }) => viewClient(await findClient(database, id)),
  )

  app.patch(
    '/clients/:id',
    {
      config: needs('clients:write'),
      schema: {
        tags,
        summary: 'Change a client',
        description: 'Disabling a client kills its tokens.',
        params: clientParams,
        body: clientPatch,
        response: { 200: client },
      },
    },
    async ({ params: { id }, body, administrator }) => {
      checkJwksUri(body.jwks_uri)
      await findClient(database, id)
      return viewClient(await updateClient(id, body, authority, administrator))
    },
  )

  app.delete(
    '/clients/:id',
    {
      config: needs('clients:write'),
      schema: {
        tags,
        summary: 'Delete a client, its credentials and grants, and kill its tokens',
        params: clientParams,
      },
    },
    async ({ params: { id }, administrator }, reply) => {
      await findClient(database, id)
      await deleteClient(id, authority, administrator)
      return reply.code(204).send()
    },
  )

  function checkJwksUri(uri: string | null | undefined): void {
    const fault = uri ? jwksUriFault(uri, { allowLoopback: allowLoopbackJwksUri }) : undefined
    if (fault) throw invalid([{ path: 'jwks_uri', message: fault }])
  }
}
