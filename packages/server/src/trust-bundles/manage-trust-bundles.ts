import { parseSpiffeId, parseTrustDomain } from '@countersign/spiffe'
import type { Administrator } from '../admin/administrator.ts'
import { changeAs } from '../admin/change.ts'
import { invalid } from '../admin/request-validation.ts'
import type { Authority } from '../authority.ts'
import { Problem } from '../http/problem.ts'
import type { Database } from '../storage/store.ts'
import type { TrustBundleRow } from '../storage/workload-identity-tables.ts'
import type { WorkloadIdentity } from '../workload-identity.ts'
import { type AcceptedBundle, acceptBundle, BundleRefused } from './accept-bundle.ts'
import { numbersOf, summaryOf, targetOf } from './refresh-bundles.ts'
import { requireHeldOfForeign } from './require-held-of-foreign.ts'
import type { NewTrustBundle } from './trust-bundle.ts'

/** @throws Problem `not_found` */
export async function findTrustBundle(database: Database, trustDomain: string): Promise<TrustBundleRow> {
  const row = await database
    .selectFrom('trust_bundles')
    .selectAll()
    .where('trust_domain', '=', trustDomain)
    .executeTakeFirst()
  if (!row) throw new Problem(404, 'not_found', 'nothing is known of this trust domain')
  return row
}

/**
 * Says how another trust domain's bundle is got: by hand, from an endpoint, or both. A bundle that is known already stays
 * unless another one is given.
 * @throws Problem `invalid`, `stale_bundle`, `insufficient_scope`
 */
export async function setTrustBundle(
  text: string,
  wanted: NewTrustBundle,
  { authority, identity }: { authority: Authority; identity: WorkloadIdentity },
  administrator: Administrator,
): Promise<{ row: TrustBundleRow; isNew: boolean }> {
  const trustDomain = foreignTrustDomain(text, identity.trustDomain)
  const endpoint = endpointOf(wanted)
  let before: TrustBundleRow | undefined
  let accepted: AcceptedBundle | undefined
  const row = await changeAs(administrator, authority, {
    announces: { kind: 'trust_bundle', id: trustDomain },
    fact: () => ({
      type: 'trust_bundle.set',
      target: targetOf({ trust_domain: trustDomain }),
      detail: { endpoint_url: endpoint.endpoint_url, ...(accepted && summaryOf(accepted)) },
    }),
    change: async (transaction, now) => {
      await requireHeldOfForeign(transaction, trustDomain, administrator)
      before = await transaction
        .selectFrom('trust_bundles')
        .selectAll()
        .where('trust_domain', '=', trustDomain)
        .executeTakeFirst()
      accepted = wanted.bundle && accept(trustDomain, wanted.bundle, before?.bundle ?? null)
      const known = accepted?.text ?? before?.bundle ?? null
      await refuseUnknowable(trustDomain, endpoint, known, { identity, database: transaction })
      const values = {
        ...endpoint,
        bundle: known,
        ...(accepted && numbersOf(accepted)),
        next_fetch_at: endpoint.endpoint_url === null ? null : now,
        failure: null,
        failing_since: null,
        updated_at: now,
      }
      return transaction
        .insertInto('trust_bundles')
        .values({ trust_domain: trustDomain, ...values, created_at: now })
        .onConflict((conflict) => conflict.column('trust_domain').doUpdateSet(values))
        .returningAll()
        .executeTakeFirstOrThrow()
    },
  })
  return { row, isNew: before === undefined }
}

/** SVIDs of that trust domain are not trusted from then on. @throws Problem `not_found` */
export async function deleteTrustBundle(
  trustDomain: string,
  authority: Authority,
  administrator: Administrator,
): Promise<void> {
  await findTrustBundle(authority.store.database, trustDomain)
  await changeAs(administrator, authority, {
    announces: { kind: 'trust_bundle', id: trustDomain },
    fact: { type: 'trust_bundle.deleted', target: targetOf({ trust_domain: trustDomain }) },
    change: async (transaction) => {
      await findTrustBundle(transaction, trustDomain)
      await transaction.deleteFrom('trust_bundles').where('trust_domain', '=', trustDomain).execute()
    },
  })
}

function foreignTrustDomain(text: string, own: string): string {
  let name: string
  try {
    name = parseTrustDomain(text)
  } catch (error) {
    throw invalid([{ path: 'trust_domain', message: (error as Error).message }], 'path')
  }
  if (name !== own) return name
  const message = "is this server's own: its bundle follows from its certificate authorities"
  throw invalid([{ path: 'trust_domain', message }], 'path')
}

type Endpoint = Pick<TrustBundleRow, 'endpoint_url' | 'endpoint_profile' | 'endpoint_spiffe_id'>

function endpointOf({ endpoint_url, endpoint_profile, endpoint_spiffe_id, bundle }: NewTrustBundle): Endpoint {
  const fault = (path: string, message: string) => invalid([{ path, message }])
  if (endpoint_url === undefined) {
    if (endpoint_profile ?? endpoint_spiffe_id)
      throw fault('endpoint_url', 'is missing, and the rest is of no use then')
    if (bundle === undefined) throw fault('bundle', 'give a bundle, or an endpoint_url to fetch it from')
    return { endpoint_url: null, endpoint_profile: null, endpoint_spiffe_id: null }
  }
  if (endpoint_profile === undefined) throw fault('endpoint_profile', 'is missing: https_web or https_spiffe')
  if (endpoint_profile === 'https_web') {
    if (endpoint_spiffe_id !== undefined) throw fault('endpoint_spiffe_id', 'goes with the profile https_spiffe only')
    return { endpoint_url, endpoint_profile, endpoint_spiffe_id: null }
  }
  if (endpoint_spiffe_id === undefined) throw fault('endpoint_spiffe_id', 'is missing: who serves the bundle')
  try {
    const id = parseSpiffeId(endpoint_spiffe_id)
    if (id.path !== '') return { endpoint_url, endpoint_profile, endpoint_spiffe_id: id.toString() }
  } catch (error) {
    throw fault('endpoint_spiffe_id', (error as Error).message)
  }
  throw fault('endpoint_spiffe_id', 'is that of a trust domain, which serves nothing; it needs a path')
}

/** An endpoint that serves its own trust domain's bundle can only be known by an earlier one. */
async function refuseUnknowable(
  trustDomain: string,
  { endpoint_spiffe_id }: Endpoint,
  known: string | null,
  { identity, database }: { identity: WorkloadIdentity; database: Database },
): Promise<void> {
  if (endpoint_spiffe_id === null) return
  const theirs = parseSpiffeId(endpoint_spiffe_id).trustDomain
  if (theirs === identity.trustDomain || (theirs === trustDomain && known !== null)) return
  const other = await database
    .selectFrom('trust_bundles')
    .select('bundle')
    .where('trust_domain', '=', theirs)
    .executeTakeFirst()
  if (theirs !== trustDomain && other && other.bundle !== null) return
  const message = `there is no bundle of ${theirs} by which the endpoint could be known; give its first one with it`
  throw invalid([{ path: theirs === trustDomain ? 'bundle' : 'endpoint_spiffe_id', message }])
}

function accept(trustDomain: string, document: object, known: string | null): AcceptedBundle {
  try {
    return acceptBundle(trustDomain, JSON.stringify(document), known)
  } catch (error) {
    if (!(error instanceof BundleRefused)) throw error
    if (error.code === 'stale_bundle') throw new Problem(409, 'stale_bundle', error.message)
    throw invalid([{ path: 'bundle', message: error.message }])
  }
}
