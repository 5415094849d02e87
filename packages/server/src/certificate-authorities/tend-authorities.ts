import type { Database } from '../storage/store.ts'
import type { CertificateAuthorityRow } from '../storage/workload-identity-tables.ts'
import { activate, activateAtOnce } from './activate-authority.ts'
import { type AuthorityContext, type AuthorityKind, authorityKinds } from './authority-context.ts'
import { authorityWithStatus, insertAuthority } from './authority-rows.ts'
import { changeAuthorities } from './change-authorities.ts'
import { makeAuthority } from './make-authority.ts'

/** Sees to it that there is an authority of this kind that signs. */
export async function ensureAuthority(kind: AuthorityKind, context: AuthorityContext): Promise<void> {
  if (await authorityWithStatus(context.store.database, context, kind, 'active')) return
  await activateAtOnce(kind, context, { only: (active) => active === undefined })
}

/** What is due now. Any replica may do it; doing it twice, or on two of them at once, does nothing. */
export async function tendAuthorities(context: AuthorityContext): Promise<void> {
  const failures: unknown[] = []
  const failed = (error: unknown) => void failures.push(error)
  // What one of them lacks must not hold up the others.
  for (const kind of authorityKinds) await tend(kind, context).catch(failed)
  await forgetExpired(context).catch(failed)
  if (failures.length > 0) throw failures[0]
}

/** Half-way through its life the next one is published; when a sixth is left, that one signs. */
async function tend(kind: AuthorityKind, context: AuthorityContext): Promise<void> {
  const { database } = context.store
  const now = context.now()
  const active = await authorityWithStatus(database, context, kind, 'active')
  if (!active || now >= active.expires_at) {
    // Nothing that is signed now would be believed: better one that is known late.
    await activateAtOnce(kind, context, { only: (found) => found?.id === active?.id })
    return
  }
  const life = active.expires_at - active.created_at
  const prepared = await authorityWithStatus(database, context, kind, 'prepared')
  if (!prepared) {
    if (now >= active.created_at + life / 2) await prepareNext(kind, active, context)
    return
  }
  const isDue = now >= active.expires_at - life / 6 || prepared.activation_asked_at !== null
  if (isDue && now - prepared.created_at >= context.publishAheadSeconds) {
    await activateInTurn(active, prepared, context)
  }
}

async function prepareNext(kind: AuthorityKind, active: CertificateAuthorityRow, context: AuthorityContext) {
  const made = await makeAuthority(kind, context)
  if (made.expires_at <= active.expires_at) {
    throw new Error(
      `the upstream CA ends at ${new Date(made.expires_at * 1000).toISOString()}, and no CA under it would live longer than the present one: put its successor in the files of spiffe.upstream_ca`,
    )
  }
  await changeAuthorities(context, async (transaction) => {
    if (await authorityWithStatus(transaction, context, kind, 'prepared')) return
    await insertAuthority(transaction, made, 'prepared', context)
    return { type: 'ca.prepared', target: `ca/${made.id}`, detail: { kind } }
  })
}

/** Two replicas may both find that it is time; only the first finds both of them as they were. */
async function activateInTurn(
  active: CertificateAuthorityRow,
  prepared: CertificateAuthorityRow,
  context: AuthorityContext,
): Promise<void> {
  await changeAuthorities(context, async (transaction) => {
    const kind = prepared.kind as AuthorityKind
    const [signing, next] = await Promise.all([
      authorityWithStatus(transaction, context, kind, 'active'),
      authorityWithStatus(transaction, context, kind, 'prepared'),
    ])
    if (signing?.id !== active.id || next?.id !== prepared.id) return
    return activate(transaction, next, context, {})
  })
}

/** What has expired is of no use in the bundle, and its key of none at all. */
async function forgetExpired(context: AuthorityContext): Promise<void> {
  const { database } = context.store
  const expired = (rows: Database) =>
    rows
      .selectFrom('certificate_authorities')
      .select(['id', 'kind'])
      .where('trust_domain', '=', context.trustDomain)
      .where('status', '!=', 'active')
      .where('expires_at', '<=', context.now())
  for (const { id, kind } of await expired(database).execute()) {
    await changeAuthorities(context, async (transaction) => {
      if (!(await expired(transaction).where('id', '=', id).executeTakeFirst())) return
      await transaction.deleteFrom('certificate_authorities').where('id', '=', id).execute()
      return { type: 'ca.retired', target: `ca/${id}`, detail: { kind } }
    })
  }
}
