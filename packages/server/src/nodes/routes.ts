import { z } from 'zod'
import { type AdminApp, type AdminContext, needs } from '../admin/admin-app.ts'
import { exactly, line } from '../admin/fields.ts'
import { decodeCursor, paged, pageOf, pageQuery } from '../admin/paging.ts'
import { banNode, evictNode, findNode } from './manage-nodes.ts'
import { node, nodeReference, viewNode } from './node-resource.ts'

const tags = ['Nodes']
const params = z.object({ id: z.string().meta({ description: "The agent's SPIFFE ID, URL-encoded" }) })

export function nodeRoutes(app: AdminApp, { authority }: AdminContext): void {
  const { database } = authority.store

  app.get(
    '/nodes',
    {
      config: needs('nodes:read'),
      schema: {
        tags,
        summary: 'List nodes',
        querystring: exactly({
          ...pageQuery,
          attestation_type: line(64).optional(),
          banned: z.enum(['true', 'false']).optional(),
        }),
        response: { 200: pageOf(node) },
      },
    },
    async ({ query }) => {
      let rows = database
        .selectFrom('nodes')
        .selectAll()
        .orderBy('id')
        .limit(query.limit + 1)
      if (query.attestation_type !== undefined) rows = rows.where('attestation_type', '=', query.attestation_type)
      if (query.banned !== undefined) rows = rows.where('banned_at', query.banned === 'true' ? 'is not' : 'is', null)
      if (query.cursor !== undefined) rows = rows.where('id', '>', decodeCursor(query.cursor, ['string'])[0] as string)
      return paged(await rows.execute(), query, ({ id }) => [id], viewNode)
    },
  )

  app.get(
    '/nodes/:id',
    { config: needs('nodes:read'), schema: { tags, summary: 'See a node', params, response: { 200: node } } },
    async ({ params: { id } }) => viewNode(await findNode(database, id)),
  )

  app.post(
    '/nodes/ban',
    {
      config: needs('nodes:write'),
      schema: {
        tags,
        summary: 'Ban a node',
        description:
          'Its agent gets nothing more and cannot attest again; the SVIDs that it got for workloads are revoked.',
        body: nodeReference,
        response: { 200: node },
      },
    },
    async ({ body, administrator }) => viewNode(await banNode(body.spiffe_id, authority, administrator)),
  )

  app.post(
    '/nodes/evict',
    {
      config: needs('nodes:write'),
      schema: {
        tags,
        summary: 'Forget a node',
        description: 'Its agent must attest again, where it can. This also lifts a ban.',
        body: nodeReference,
      },
    },
    async ({ body, administrator }, reply) => {
      await evictNode(body.spiffe_id, authority, administrator)
      return reply.code(204).send()
    },
  )
}
