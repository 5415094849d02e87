import { z } from 'zod'
import { type AdminApp, type AdminContext, needs } from '../admin/admin-app.ts'
import { actorOf } from '../admin/administrator.ts'
import { exactly } from '../admin/fields.ts'
import { decodeCursor, paged, pageOf, pageQuery } from '../admin/paging.ts'
import type { Authority } from '../authority.ts'
import { workloadIdentityOf } from '../workload-identity.ts'
import { activateAuthority } from './activate-authority.ts'
import { authorityById } from './authority-rows.ts'
import { sayingWhy } from './ca-unavailable.ts'
import { authorityKind, certificateAuthority, viewAuthority } from './certificate-authority-resource.ts'
import { prepareAuthority, revokeAuthority, rotateAuthority, taintAuthority } from './lifecycle.ts'

const tags = ['Certificate authorities']
const params = z.object({ id: z.string() })
const kind = authorityKind.meta({ description: 'x509 signs X.509-SVIDs, jwt signs JWT-SVIDs' })
const force = z.boolean().default(false)
const one = { 200: certificateAuthority }

export function certificateAuthorityRoutes(app: AdminApp, { authority }: AdminContext): void {
  const { database } = authority.store
  const writing = { config: needs('certificate_authorities:write') }

  app.get(
    '/certificate-authorities',
    {
      config: needs('certificate_authorities:read'),
      schema: {
        tags,
        summary: "List the trust domain's certificate authorities",
        querystring: exactly({ ...pageQuery, kind: kind.optional() }),
        response: { 200: pageOf(certificateAuthority) },
      },
    },
    async ({ query }) => {
      let rows = database
        .selectFrom('certificate_authorities')
        .selectAll()
        .where('trust_domain', '=', workloadIdentityOf(authority).trustDomain)
        .orderBy('created_at')
        .orderBy('id')
        .limit(query.limit + 1)
      if (query.kind !== undefined) rows = rows.where('kind', '=', query.kind)
      if (query.cursor !== undefined) {
        const [at, id] = decodeCursor(query.cursor, ['number', 'string']) as [number, string]
        rows = rows.where((row) =>
          row.or([row('created_at', '>', at), row.and([row('created_at', '=', at), row('id', '>', id)])]),
        )
      }
      return paged(await rows.execute(), query, ({ created_at, id }) => [created_at, id], viewAuthority)
    },
  )

  app.post(
    '/certificate-authorities/prepare',
    {
      ...writing,
      schema: {
        tags,
        summary: 'Make the next authority and publish it',
        description: 'It is in the bundle from then on, and signs when it is activated.',
        body: exactly({ kind }),
        response: { 201: certificateAuthority },
      },
    },
    async ({ body, administrator }, reply) => {
      const { authorities } = workloadIdentityOf(authority)
      const id = await sayingWhy(prepareAuthority(body.kind, authorities, actorOf(administrator)))
      return reply
        .code(201)
        .header('location', '/api/v1/certificate-authorities')
        .send(await settled(id, authority))
    },
  )

  app.post(
    '/certificate-authorities/rotate',
    {
      ...writing,
      schema: {
        tags,
        summary: 'Replace the authority that signs',
        description:
          'Makes another one where none is prepared, and activates it as soon as it has been published for long enough that everybody knows it. With force at once: then SVIDs are not trusted by whoever has not fetched the bundle since.',
        body: exactly({ kind, force }),
        response: one,
      },
    },
    async ({ body, administrator }) => {
      const { authorities } = workloadIdentityOf(authority)
      const options = { force: body.force, actor: actorOf(administrator) }
      return settled(await sayingWhy(rotateAuthority(body.kind, authorities, options)), authority)
    },
  )

  app.post(
    '/certificate-authorities/:id/activate',
    {
      ...writing,
      schema: {
        tags,
        summary: 'Let a prepared authority sign',
        description: 'The one before stays in the bundle until it expires.',
        params,
        body: exactly({ force }),
        response: one,
      },
    },
    async ({ params: { id }, body, administrator }) => {
      const { authorities } = workloadIdentityOf(authority)
      await sayingWhy(activateAuthority(id, authorities, { force: body.force, actor: actorOf(administrator) }))
      return settled(id, authority)
    },
  )

  app.post(
    '/certificate-authorities/:id/taint',
    {
      ...writing,
      schema: {
        tags,
        summary: 'Have everything renewed that an authority has signed',
        description: 'It stays in the bundle meanwhile, so that nothing fails. Not for the one that signs now.',
        params,
        body: exactly({}),
        response: one,
      },
    },
    async ({ params: { id }, administrator }) => {
      await taintAuthority(id, workloadIdentityOf(authority).authorities, actorOf(administrator))
      return settled(id, authority)
    },
  )

  app.post(
    '/certificate-authorities/:id/revoke',
    {
      ...writing,
      schema: {
        tags,
        summary: 'Take an authority out of the bundle at once',
        description:
          'Its key is destroyed, and nothing that it signed is trusted any more. Taint it first; with force that is not asked for, and another one takes the place of the one that signs.',
        params,
        body: exactly({ force }),
        response: one,
      },
    },
    async ({ params: { id }, body, administrator }) => {
      const { authorities } = workloadIdentityOf(authority)
      await sayingWhy(revokeAuthority(id, authorities, { force: body.force, actor: actorOf(administrator) }))
      return settled(id, authority)
    },
  )
}

/** The authority as it is now, once this replica signs and verifies by it. */
async function settled(id: string, authority: Authority): Promise<z.infer<typeof certificateAuthority>> {
  await authority.feed.catchUp()
  return viewAuthority(await authorityById(authority.store.database, workloadIdentityOf(authority), id))
}
