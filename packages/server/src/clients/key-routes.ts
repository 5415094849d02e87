import { z } from 'zod'
import { type AdminApp, type AdminContext, needs } from '../admin/admin-app.ts'
import { exactly } from '../admin/fields.ts'
import { decodeCursor, paged, pageOf, pageQuery } from '../admin/paging.ts'
import { findClient } from './find-client.ts'
import { checkKey, checkKeyCertificate, clientKey, newKey, viewKey } from './key-resource.ts'
import { addClientKey, removeClientKey } from './manage-keys.ts'

const tags = ['Client keys']
const params = z.object({ id: z.string() })

export function keyRoutes(app: AdminApp, { authority }: AdminContext): void {
  const { database } = authority.store

  app.post(
    '/clients/:id/keys',
    {
      config: needs('clients:write'),
      schema: {
        tags,
        summary: 'Add a public key for private_key_jwt, or a certificate for self_signed_tls_client_auth',
        description: 'Without `kid` it gets its RFC 7638 thumbprint; an RSA key without `alg` is for RS256.',
        params,
        body: newKey,
        response: { 201: clientKey },
      },
    },
    async ({ params: { id }, body, administrator }, reply) => {
      const key = body.certificate === undefined ? checkKey(body.jwk ?? {}) : checkKeyCertificate(body.certificate)
      await findClient(database, id)
      const row = await addClientKey(id, key, body.label, authority, administrator)
      return reply
        .code(201)
        .header('location', `/api/v1/clients/${id}/keys/${encodeURIComponent(row.kid)}`)
        .send(viewKey(row))
    },
  )

  app.get(
    '/clients/:id/keys',
    {
      config: needs('clients:read'),
      schema: {
        tags,
        summary: 'List keys',
        params,
        querystring: exactly(pageQuery),
        response: { 200: pageOf(clientKey) },
      },
    },
    async ({ params: { id }, query }) => {
      await findClient(database, id)
      let rows = database.selectFrom('client_keys').selectAll().where('client_id', '=', id).orderBy('id')
      if (query.cursor !== undefined) rows = rows.where('id', '>', decodeCursor(query.cursor, ['string'])[0] as string)
      return paged(await rows.limit(query.limit + 1).execute(), query, (row) => [row.id], viewKey)
    },
  )

  app.delete(
    '/clients/:id/keys/:kid',
    {
      config: needs('clients:write'),
      schema: { tags, summary: 'Remove a key', params: params.extend({ kid: z.string() }) },
    },
    async ({ params: { id, kid }, administrator }, reply) => {
      await findClient(database, id)
      await removeClientKey(id, kid, authority, administrator)
      return reply.code(204).send()
    },
  )
}
