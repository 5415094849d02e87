import { hash } from 'node:crypto'
import type { AuditFact } from '../audit/event.ts'
import { announce } from '../storage/change-feed.ts'
import type { Database, StoreTransaction } from '../storage/store.ts'
import type { CertificateAuthorityRow } from '../storage/workload-identity-tables.ts'
import type { AuthorityContext, AuthorityKind, AuthorityStatus } from './authority-context.ts'
import { publishedTexts } from './published-authorities.ts'

/** What a change returns when another replica was first: then nothing is written, not even the audit event. */
export const nothingToDo = Symbol('nothing to do')

export type AuthorityChange = Omit<AuditFact, 'outcome'>

/**
 * One change of the trust domain's authorities. It takes the revision's row lock first, so that no two replicas change
 * them at the same time, and where it changes what is published, the bundle's sequence number goes up by one with it.
 * @returns whether anything was changed
 */
export async function changeAuthorities(
  fact: AuthorityChange | (() => AuthorityChange),
  context: AuthorityContext,
  change: (transaction: StoreTransaction) => Promise<unknown>,
): Promise<boolean> {
  const told = () => ({ outcome: 'success' as const, ...(typeof fact === 'function' ? fact() : fact) })
  try {
    await context.audit.recordChange(told, async (transaction) => {
      const at = context.now()
      await announce(transaction, context.store, { kind: 'certificate_authority', id: context.trustDomain, at })
      const before = await publishedDigest(transaction, context)
      if ((await change(transaction)) === nothingToDo) throw nothingToDo
      if ((await publishedDigest(transaction, context)) !== before) await countBundle(transaction, context)
    })
    return true
  } catch (error) {
    if (error === nothingToDo) return false
    throw error
  }
}

export function authorityWithStatus(
  database: Database,
  { trustDomain }: Pick<AuthorityContext, 'trustDomain'>,
  kind: AuthorityKind,
  status: AuthorityStatus,
): Promise<CertificateAuthorityRow | undefined> {
  return database
    .selectFrom('certificate_authorities')
    .selectAll()
    .where('trust_domain', '=', trustDomain)
    .where('kind', '=', kind)
    .where('status', '=', status)
    .executeTakeFirst()
}

/** What makes the bundle: not who signs, and not under which of its intermediates a root does. */
async function publishedDigest(transaction: StoreTransaction, { trustDomain }: AuthorityContext): Promise<string> {
  const rows = await transaction
    .selectFrom('certificate_authorities')
    .select(['id', 'kind', 'roots', 'tainted_at'])
    .where('trust_domain', '=', trustDomain)
    .where('status', '!=', 'revoked')
    .execute()
  const { roots, keys } = publishedTexts(rows)
  return hash('sha256', JSON.stringify([[...roots].sort(), [...keys].sort()]))
}

async function countBundle(transaction: StoreTransaction, { trustDomain, now }: AuthorityContext): Promise<void> {
  await transaction
    .insertInto('bundle_state')
    .values({ trust_domain: trustDomain, sequence_number: 1, updated_at: now() })
    .onConflict((conflict) =>
      conflict.column('trust_domain').doUpdateSet((row) => ({
        sequence_number: row('bundle_state.sequence_number', '+', 1),
        updated_at: now(),
      })),
    )
    .execute()
}
