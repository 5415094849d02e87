import type { Actor } from '../audit/event.ts'
import type { MadeChange } from '../audit/record-if-changed.ts'
import { Problem } from '../http/problem.ts'
import { insertRevocation } from '../revocation/insert-revocation.ts'
import type { StoreTransaction } from '../storage/store.ts'
import type { CertificateAuthorityRow } from '../storage/workload-identity-tables.ts'
import { activate, activateAtOnce } from './activate-authority.ts'
import type { AuthorityContext, AuthorityKind } from './authority-context.ts'
import { authorityById, authorityWithStatus, insertAuthority, setAuthority, withdrawn } from './authority-rows.ts'
import { changeAuthorities } from './change-authorities.ts'
import { makeAuthority } from './make-authority.ts'

/**
 * Makes an authority and publishes it, so that everybody knows it before it signs.
 * @throws Problem `already_prepared`, `too_many_authorities` @throws CaUnavailable
 */
export async function prepareAuthority(kind: AuthorityKind, context: AuthorityContext, actor: Actor = {}) {
  const made = await makeAuthority(kind, context)
  await changeAuthorities(context, async (transaction) => {
    const prepared = await authorityWithStatus(transaction, context, kind, 'prepared')
    if (prepared) {
      throw new Problem(409, 'already_prepared', `${prepared.id} is prepared already: activate it, or revoke it first`)
    }
    await insertAuthority(transaction, made, 'prepared', context)
    return { ...actor, type: 'ca.prepared', target: `ca/${made.id}`, detail: { kind } }
  })
  return made.id
}

/**
 * Replaces the authority that signs, without anybody noticing: prepares another one where none is, and has it activated
 * as soon as it has been published for long enough.
 * @param options.force at once: who has not fetched the bundle since fails
 * @returns the id of the one that signs, or will sign
 * @throws Problem `too_many_authorities` @throws CaUnavailable
 */
export async function rotateAuthority(
  kind: AuthorityKind,
  context: AuthorityContext,
  { force = false, actor = {} }: { force?: boolean; actor?: Actor } = {},
): Promise<string> {
  if (force) return activateAtOnce(kind, context, { actor })
  const made = await makeAuthority(kind, context)
  let id = made.id
  await changeAuthorities(context, async (transaction): Promise<MadeChange | undefined> => {
    const prepared = await authorityWithStatus(transaction, context, kind, 'prepared')
    id = prepared?.id ?? made.id
    const change = { ...actor, target: `ca/${id}`, detail: { kind } }
    if (!prepared) {
      await insertAuthority(transaction, { ...made, activation_asked_at: context.now() }, 'prepared', context)
      return { ...change, type: 'ca.prepared' }
    }
    if (context.now() - prepared.created_at >= context.publishAheadSeconds) {
      return activate(transaction, prepared, context, actor)
    }
    if (prepared.activation_asked_at !== null) return
    await setAuthority(transaction, id, { activation_asked_at: context.now() })
    return { ...change, type: 'ca.activation_asked' }
  })
  return id
}

/**
 * Tells everybody to renew what this authority has signed; it stays in the bundle, so that nothing fails meanwhile.
 * @throws Problem `not_found`, `still_active`
 */
export async function taintAuthority(id: string, context: AuthorityContext, actor: Actor = {}): Promise<void> {
  await changeAuthorities(context, async (transaction) => {
    const row = await authorityById(transaction, context, id)
    if (row.status === 'active') {
      throw new Problem(
        409,
        'still_active',
        'it signs: activate another one first (rotate), or all would renew with it',
      )
    }
    if (row.tainted_at !== null || row.status === 'revoked') return
    await setAuthority(transaction, id, { tainted_at: context.now() })
    return { ...actor, type: 'ca.tainted', target: `ca/${id}` }
  })
}

/**
 * Takes an authority out of the bundle at once, and destroys its key: nothing that it signed is trusted any more.
 * @param options.force also where it was not tainted before, or signs still (then another one takes its place at once)
 * @throws Problem `not_found`, `not_tainted` @throws CaUnavailable
 */
export async function revokeAuthority(
  id: string,
  context: AuthorityContext,
  { force = false, actor = {} }: { force?: boolean; actor?: Actor } = {},
): Promise<void> {
  const kind = (await authorityById(context.store.database, context, id)).kind as AuthorityKind
  const spare = await makeAuthority(kind, context)
  await changeAuthorities(context, async (transaction) => {
    const row = await authorityById(transaction, context, id)
    if (row.status === 'revoked') return
    if (row.tainted_at === null && row.status !== 'prepared' && !force) {
      throw new Problem(
        409,
        'not_tainted',
        'taint it first and give everybody time to renew; or force it: whoever holds an SVID of it then fails until renewed',
      )
    }
    await setAuthority(transaction, id, withdrawn(context))
    // Guards that follow the feed refuse what it signed before they have fetched the bundle.
    if (kind === 'jwt') await insertRevocation(transaction, context, { kid: id, expires_at: row.expires_at })
    if (row.status === 'active') await putInItsPlace(transaction, spare, kind, context)
    return { ...actor, type: 'ca.revoked', target: `ca/${id}`, detail: { kind } }
  })
}

async function putInItsPlace(
  transaction: StoreTransaction,
  spare: Omit<CertificateAuthorityRow, 'status'>,
  kind: AuthorityKind,
  context: AuthorityContext,
): Promise<void> {
  const prepared = await authorityWithStatus(transaction, context, kind, 'prepared')
  if (prepared) await setAuthority(transaction, prepared.id, { status: 'active', activated_at: context.now() })
  else await insertAuthority(transaction, spare, 'active', context)
}
