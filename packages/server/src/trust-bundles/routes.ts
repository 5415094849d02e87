import { formatBundleDocument } from '@countersign/spiffe'
import { z } from 'zod'
import { type AdminApp, type AdminContext, needs } from '../admin/admin-app.ts'
import { exactly } from '../admin/fields.ts'
import { decodeCursor, paged, pageOf, pageQuery } from '../admin/paging.ts'
import { type WorkloadIdentity, workloadIdentityOf } from '../workload-identity.ts'
import { deleteTrustBundle, findTrustBundle, setTrustBundle } from './manage-trust-bundles.ts'
import {
  newTrustBundle,
  trustBundle,
  trustBundleSummary,
  viewTrustBundle,
  viewTrustBundleSummary,
} from './trust-bundle.ts'

const tags = ['Trust bundles']
const params = z.object({ trust_domain: z.string().meta({ description: 'Such as `example.org`' }) })

export function trustBundleRoutes(app: AdminApp, { authority }: AdminContext): void {
  const { database } = authority.store

  app.get(
    '/trust-bundles',
    {
      config: needs('trust_bundles:read'),
      schema: {
        tags,
        summary: 'List the other trust domains that are known',
        querystring: exactly(pageQuery),
        response: { 200: pageOf(trustBundleSummary) },
      },
    },
    async ({ query }) => {
      let rows = database
        .selectFrom('trust_bundles')
        .selectAll()
        .orderBy('trust_domain')
        .limit(query.limit + 1)
      if (query.cursor !== undefined) {
        rows = rows.where('trust_domain', '>', decodeCursor(query.cursor, ['string'])[0] as string)
      }
      return paged(await rows.execute(), query, (row) => [row.trust_domain], viewTrustBundleSummary)
    },
  )

  app.get(
    '/trust-bundles/:trust_domain',
    {
      config: needs('trust_bundles:read'),
      schema: { tags, summary: 'See the bundle of a trust domain', params, response: { 200: trustBundle } },
    },
    async ({ params: { trust_domain: name } }) => {
      const identity = workloadIdentityOf(authority)
      return name === identity.trustDomain ? viewOwn(identity) : viewTrustBundle(await findTrustBundle(database, name))
    },
  )

  app.put(
    '/trust-bundles/:trust_domain',
    {
      config: needs('trust_bundles:write'),
      schema: {
        tags,
        summary: 'Trust another trust domain',
        description:
          'By a bundle given here, an endpoint from which it is fetched again and again, or both. Its SVIDs are trusted for IDs of that trust domain only. A bundle with an earlier sequence number is refused.',
        params,
        body: newTrustBundle,
        response: { 200: trustBundle, 201: trustBundle },
      },
    },
    async ({ params: { trust_domain: name }, body, administrator }, reply) => {
      const identity = workloadIdentityOf(authority)
      const { row, isNew } = await setTrustBundle(name, body, { authority, identity }, administrator)
      if (isNew) reply.code(201).header('location', `/api/v1/trust-bundles/${row.trust_domain}`)
      return reply.send(viewTrustBundle(row))
    },
  )

  app.delete(
    '/trust-bundles/:trust_domain',
    { config: needs('trust_bundles:write'), schema: { tags, summary: 'Trust a trust domain no more', params } },
    async ({ params: { trust_domain: name }, administrator }, reply) => {
      await deleteTrustBundle(name, authority, administrator)
      return reply.code(204).send()
    },
  )
}

function viewOwn({ trustDomain, ca }: WorkloadIdentity): z.infer<typeof trustBundle> {
  const bundle = ca.bundle()
  return {
    trust_domain: trustDomain,
    own: true,
    endpoint_url: null,
    endpoint_profile: null,
    endpoint_spiffe_id: null,
    sequence_number: bundle.sequenceNumber ?? null,
    refresh_hint: bundle.refreshHintSeconds ?? null,
    fetched_at: null,
    next_fetch_at: null,
    failure: null,
    failing_since: null,
    created_at: null,
    updated_at: null,
    bundle: JSON.parse(formatBundleDocument(bundle)),
  }
}
