import { OutboundError } from '@countersign/outbound'
import type { BundleSet } from '@countersign/spiffe'
import type { AuditLog } from '../audit/log.ts'
import { recordIfChanged } from '../audit/record-if-changed.ts'
import { announce } from '../storage/change-feed.ts'
import type { Store } from '../storage/store.ts'
import type { TrustBundleRow } from '../storage/workload-identity-tables.ts'
import { type AcceptedBundle, acceptBundle, BundleRefused } from './accept-bundle.ts'
import { type EndpointProfile, fetchBundle } from './fetch-bundle.ts'

export interface RefreshContext {
  store: Store
  audit: AuditLog
  /** Seconds since the epoch */
  now: () => number
  /** Of our own trust domain and of the others: by them `https_spiffe` endpoints are known */
  bundles: BundleSet
  /** Reads those of the others anew: what was set on another replica a moment ago may not have come here yet */
  reload: () => Promise<void>
  /** Ends what is under way, and nothing is written down of it */
  signal: AbortSignal
  /** For tests: PEM certificates to trust instead of the system's */
  ca?: string | undefined
}

const [shortestSeconds, longestSeconds, usualSeconds] = [5, 86_400, 300]
const retrySeconds = 60
/** Longer than an attempt takes: so long no other replica begins one of its own. */
const claimSeconds = 30

/** Fetches every bundle that is due. Each is fetched by the one replica that claims it first. */
export async function refreshBundles(context: RefreshContext): Promise<void> {
  const now = context.now()
  const due = await context.store.database
    .selectFrom('trust_bundles')
    .selectAll()
    .where((row) =>
      row.or([
        row('next_fetch_at', '<=', now),
        // Planned by a clock that was ahead: later than any plan of now.
        row('next_fetch_at', '>', row(row.fn.coalesce('refresh_hint', row.val(usualSeconds)), '+', now + retrySeconds)),
      ]),
    )
    .execute()
  if (due.length > 0) await context.reload()
  await Promise.all(due.map(async (row) => ((await claim(row, context)) ? refreshBundle(row, context) : undefined)))
}

async function claim(row: TrustBundleRow, { store, now }: RefreshContext): Promise<boolean> {
  const { numUpdatedRows } = await store.database
    .updateTable('trust_bundles')
    .set({ next_fetch_at: now() + claimSeconds })
    .where('trust_domain', '=', row.trust_domain)
    .where('next_fetch_at', '=', row.next_fetch_at)
    .executeTakeFirstOrThrow()
  return numUpdatedRows > 0n
}

/** Fetches one bundle now. What goes wrong is written down with it, and does not touch the bundle that is known. */
export async function refreshBundle(row: TrustBundleRow, context: RefreshContext): Promise<void> {
  if (row.endpoint_url === null) return
  try {
    const endpoint = {
      url: row.endpoint_url,
      profile: row.endpoint_profile as EndpointProfile,
      spiffeId: row.endpoint_spiffe_id ?? undefined,
    }
    await keep(row, await fetchBundle(endpoint, context), context)
  } catch (error) {
    if (context.signal.aborted) return
    if ((error as { code?: string }).code === 'unavailable') throw error
    await noteFailure(row, reasonOf(error), context)
  }
}

async function keep(row: TrustBundleRow, document: Buffer, context: RefreshContext): Promise<void> {
  const { store, audit, now } = context
  const seen = acceptBundle(row.trust_domain, document, row.bundle)
  if (!seen.isNew) {
    await store.database
      .updateTable('trust_bundles')
      .set(fetched(seen, now()))
      .where('trust_domain', '=', row.trust_domain)
      .where('endpoint_url', '=', row.endpoint_url)
      .execute()
    return
  }
  await recordIfChanged(audit, async (transaction) => {
    await announce(transaction, store, { kind: 'trust_bundle', id: row.trust_domain, at: now() })
    const current = await transaction
      .selectFrom('trust_bundles')
      .selectAll()
      .where('trust_domain', '=', row.trust_domain)
      .executeTakeFirst()
    if (current?.endpoint_url !== row.endpoint_url) return
    // Judged again: it may have been set by hand meanwhile.
    const accepted = acceptBundle(row.trust_domain, document, current.bundle)
    await transaction
      .updateTable('trust_bundles')
      .set({ ...fetched(accepted, now()), bundle: accepted.text, updated_at: now() })
      .where('trust_domain', '=', row.trust_domain)
      .execute()
    return { type: 'trust_bundle.updated', target: targetOf(row), detail: summaryOf(accepted) }
  })
}

/** The columns that follow from a bundle that was accepted; when to look again is up to its publisher, within limits. */
function fetched(accepted: AcceptedBundle, now: number): Partial<TrustBundleRow> {
  const wait = accepted.bundle.refreshHintSeconds ?? usualSeconds
  return {
    ...numbersOf(accepted),
    fetched_at: now,
    next_fetch_at: now + Math.min(longestSeconds, Math.max(shortestSeconds, wait)),
    failure: null,
    failing_since: null,
  }
}

/** A number beyond 2^53 is shown rounded down; whether one follows another is judged by the document itself. */
export function numbersOf({ bundle }: AcceptedBundle): Pick<TrustBundleRow, 'sequence_number' | 'refresh_hint'> {
  const { sequenceNumber, refreshHintSeconds } = bundle
  return {
    sequence_number: sequenceNumber === undefined ? null : Math.min(sequenceNumber, Number.MAX_SAFE_INTEGER),
    refresh_hint: refreshHintSeconds ?? null,
  }
}

/** The first of a row of failures is an event; what follows only goes on. */
async function noteFailure(row: TrustBundleRow, failure: string, { store, audit, now }: RefreshContext): Promise<void> {
  await store.database
    .updateTable('trust_bundles')
    .set((column) => ({
      failure,
      failing_since: column.fn.coalesce('failing_since', column.val(now())),
      next_fetch_at: now() + Math.min(retrySeconds, Math.max(shortestSeconds, row.refresh_hint ?? retrySeconds)),
    }))
    .where('trust_domain', '=', row.trust_domain)
    .where('endpoint_url', '=', row.endpoint_url)
    .execute()
  if (row.failing_since !== null) return
  await audit.record({ type: 'trust_bundle.refused', outcome: 'failure', target: targetOf(row), reason: failure })
}

export function summaryOf({ bundle }: AcceptedBundle) {
  return {
    sequence_number: bundle.sequenceNumber ?? null,
    x509_authorities: bundle.x509Authorities.length,
    jwt_authorities: bundle.jwtAuthorities.size,
  }
}

export function targetOf({ trust_domain }: Pick<TrustBundleRow, 'trust_domain'>): string {
  return `trust-bundle/${trust_domain}`
}

function reasonOf(error: unknown): string {
  const { message, cause } = error as Error
  const told = error instanceof OutboundError || error instanceof BundleRefused ? message : String(message)
  const why = error instanceof OutboundError && cause instanceof Error ? `${told}: ${cause.message}` : told
  return why.replace(/[\p{Cc}]/gu, ' ').slice(0, 256)
}
