import { Problem } from '../http/problem.ts'
import type { Database, StoreTransaction } from '../storage/store.ts'
import type { CertificateAuthorityRow } from '../storage/workload-identity-tables.ts'
import type { AuthorityContext, AuthorityKind, AuthorityStatus } from './authority-context.ts'

/** Of one kind, published at one time: bundles must stay of a size that verifiers read. */
export const mostAuthorities = 16

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

/** @throws Problem `not_found` */
export async function authorityById(
  database: Database,
  { trustDomain }: Pick<AuthorityContext, 'trustDomain'>,
  id: string,
): Promise<CertificateAuthorityRow> {
  const row = await database
    .selectFrom('certificate_authorities')
    .selectAll()
    .where('trust_domain', '=', trustDomain)
    .where('id', '=', id)
    .executeTakeFirst()
  if (!row) throw new Problem(404, 'not_found', 'there is no certificate authority with this id')
  return row
}

/** @throws Problem `too_many_authorities` */
export async function insertAuthority(
  transaction: StoreTransaction,
  made: Omit<CertificateAuthorityRow, 'status'>,
  status: 'prepared' | 'active',
  context: AuthorityContext,
): Promise<void> {
  const { published } = await transaction
    .selectFrom('certificate_authorities')
    .select((row) => row.fn.countAll<number>().as('published'))
    .where('trust_domain', '=', context.trustDomain)
    .where('kind', '=', made.kind)
    .where('status', '!=', 'revoked')
    .executeTakeFirstOrThrow()
  if (Number(published) >= mostAuthorities) {
    throw new Problem(
      409,
      'too_many_authorities',
      `${mostAuthorities} ${made.kind} authorities are published already: wait until some have expired, or revoke old ones`,
    )
  }
  const activated_at = status === 'active' ? context.now() : null
  await transaction
    .insertInto('certificate_authorities')
    .values({ ...made, status, activated_at })
    .execute()
}

export function setAuthority(
  transaction: StoreTransaction,
  id: string,
  values: Partial<CertificateAuthorityRow>,
): Promise<unknown> {
  return transaction.updateTable('certificate_authorities').set(values).where('id', '=', id).execute()
}

/** The columns of an authority that is out of the bundle, with its key destroyed. */
export function withdrawn({ now }: Pick<AuthorityContext, 'now'>): Partial<CertificateAuthorityRow> {
  return { status: 'revoked', revoked_at: now(), sealed_private_key: '' }
}
