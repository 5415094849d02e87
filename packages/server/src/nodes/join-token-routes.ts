import { z } from 'zod'
import { type AdminApp, type AdminContext, needs } from '../admin/admin-app.ts'
import { exactly } from '../admin/fields.ts'
import { decodeCursor, paged, pageOf, pageQuery } from '../admin/paging.ts'
import { workloadId } from '../registration-entries/check-entry.ts'
import { trustDomainOf } from '../workload-identity.ts'
import { joinTokenAgentId } from './join-token.ts'
import { createJoinToken, deleteJoinToken } from './manage-join-tokens.ts'
import { createdJoinToken, joinToken, newJoinTokenBody, viewJoinToken } from './node-resource.ts'

const tags = ['Join tokens']
const params = z.object({ id: z.string() })

export function joinTokenRoutes(app: AdminApp, { authority }: AdminContext): void {
  const { database } = authority.store

  app.post(
    '/join-tokens',
    {
      config: needs('nodes:write'),
      schema: {
        tags,
        summary: 'Make a join token',
        description: 'A secret that lets one agent join, once.',
        body: newJoinTokenBody,
        response: { 201: createdJoinToken },
      },
    },
    async ({ body, administrator }, reply) => {
      const trustDomain = trustDomainOf(authority)
      const spiffeId = body.spiffe_id === undefined ? undefined : workloadId(body.spiffe_id, trustDomain, 'spiffe_id')
      const { row, token } = await createJoinToken({ ttlSeconds: body.ttl, spiffeId }, authority, administrator)
      return reply.code(201).send({ ...viewJoinToken(row), token, agent_id: joinTokenAgentId(trustDomain, token) })
    },
  )

  app.get(
    '/join-tokens',
    {
      config: needs('nodes:write'),
      schema: {
        tags,
        summary: 'List join tokens that no agent has used',
        querystring: exactly(pageQuery),
        response: { 200: pageOf(joinToken) },
      },
    },
    async ({ query }) => {
      let rows = database
        .selectFrom('join_tokens')
        .selectAll()
        .where('expires_at', '>', authority.now())
        .orderBy('id')
        .limit(query.limit + 1)
      if (query.cursor !== undefined) rows = rows.where('id', '>', decodeCursor(query.cursor, ['string'])[0] as string)
      return paged(await rows.execute(), query, ({ id }) => [id], viewJoinToken)
    },
  )

  app.delete(
    '/join-tokens/:id',
    { config: needs('nodes:write'), schema: { tags, summary: 'Delete a join token before it is used', params } },
    async ({ params: { id }, administrator }, reply) => {
      await deleteJoinToken(id, authority, administrator)
      return reply.code(204).send()
    },
  )
}
