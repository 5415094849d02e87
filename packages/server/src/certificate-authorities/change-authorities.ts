import { hash } from 'node:crypto'
import { type MadeChange, recordIfChanged } from '../audit/record-if-changed.ts'
import { announce } from '../storage/change-feed.ts'
import type { StoreTransaction } from '../storage/store.ts'
import type { AuthorityContext } from './authority-context.ts'
import { publishedTexts } from './published-authorities.ts'

/**
 * One change of the trust domain's authorities. It takes the revision's row lock first, so that no two replicas change
 * them at the same time, and where it changes what is published, the bundle's sequence number goes up by one with it.
 * @param change says what it did; nothing where another replica was first, and then nothing is written
 * @returns whether anything was changed
 */
export function changeAuthorities(
  context: AuthorityContext,
  change: (transaction: StoreTransaction) => Promise<MadeChange | undefined>,
): Promise<boolean> {
  return recordIfChanged(context.audit, async (transaction) => {
    const at = context.now()
    await announce(transaction, context.store, { kind: 'certificate_authority', id: context.trustDomain, at })
    const before = await publishedDigest(transaction, context)
    const made = await change(transaction)
    if (made && (await publishedDigest(transaction, context)) !== before) await countBundle(transaction, context)
    return made
  })
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
