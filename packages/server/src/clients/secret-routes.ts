import { z } from 'zod'
import { type AdminApp, type AdminContext, needs } from '../admin/admin-app.ts'
import { exactly } from '../admin/fields.ts'
import { decodeCursor, paged, pageOf, pageQuery } from '../admin/paging.ts'
import { findClient } from './find-client.ts'
import { addClientSecret, revokeClientSecret } from './manage-secrets.ts'
import { createdSecret, expiryOf, newSecret, secret, viewSecret } from './secret-resource.ts'

const tags = ['Client secrets']
const params = z.object({ id: z.string() })

export function secretRoutes(app: AdminApp, { authority }: AdminContext): void {
  const { database } = authority.store

  app.post(
    '/clients/:id/secrets',
    {
      config: needs('clients:write'),
      schema: {
        tags,
        summary: 'Add a secret',
        description: 'The server makes it and shows it this once. Secrets there are stay valid.',
        params,
        body: newSecret,
        response: { 201: createdSecret },
      },
    },
    async ({ params: { id }, body, administrator }, reply) => {
      const { label } = body
      const expiresAt = expiryOf(body, authority.now())
      await findClient(database, id)
      const added = await addClientSecret(id, { label, expiresAt }, authority, administrator)
      const row = await database
        .selectFrom('client_secrets')
        .selectAll()
        .where('id', '=', added.id)
        .executeTakeFirstOrThrow()
      return reply.code(201).send({ ...viewSecret(row, authority.now()), client_secret: added.secret })
    },
  )

  app.get(
    '/clients/:id/secrets',
    {
      config: needs('clients:read'),
      schema: {
        tags,
        summary: 'List secrets, never their values',
        params,
        querystring: exactly(pageQuery),
        response: { 200: pageOf(secret) },
      },
    },
    async ({ params: { id }, query }) => {
      await findClient(database, id)
      let rows = database.selectFrom('client_secrets').selectAll().where('client_id', '=', id).orderBy('id')
      if (query.cursor !== undefined) rows = rows.where('id', '>', decodeCursor(query.cursor, ['string'])[0] as string)
      return paged(
        await rows.limit(query.limit + 1).execute(),
        query,
        (row) => [row.id],
        (row) => viewSecret(row, authority.now()),
      )
    },
  )

  app.delete(
    '/clients/:id/secrets/:secret_id',
    {
      config: needs('clients:write'),
      schema: { tags, summary: 'Revoke a secret', params: params.extend({ secret_id: z.string() }) },
    },
    async ({ params: { id, secret_id }, administrator }, reply) => {
      await findClient(database, id)
      await revokeClientSecret(id, secret_id, authority, administrator)
      return reply.code(204).send()
    },
  )
}
