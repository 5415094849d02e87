import type { Actor } from '../audit/event.ts'
import type { MadeChange } from '../audit/record-if-changed.ts'
import { Problem } from '../http/problem.ts'
import type { StoreTransaction } from '../storage/store.ts'
import type { CertificateAuthorityRow } from '../storage/workload-identity-tables.ts'
import type { AuthorityContext, AuthorityKind } from './authority-context.ts'
import { authorityById, authorityWithStatus, insertAuthority, setAuthority, withdrawn } from './authority-rows.ts'
import { changeAuthorities } from './change-authorities.ts'
import { makeAuthority } from './make-authority.ts'
import { openAuthorityKey } from './open-authority-key.ts'

/**
 * Lets a prepared authority sign from now on. The one before stays in the bundle until it expires.
 * @param options.force also before it has been published for long enough: who has not fetched the bundle since fails
 * @throws Problem `not_found`, `not_prepared`, `too_early` @throws CaUnavailable when its key cannot be opened
 */
export async function activateAuthority(
  id: string,
  context: AuthorityContext,
  { force = false, actor = {} }: { force?: boolean; actor?: Actor } = {},
): Promise<void> {
  await changeAuthorities(context, async (transaction) => {
    const row = await authorityById(transaction, context, id)
    if (row.status !== 'prepared') {
      throw new Problem(409, 'not_prepared', `this one is ${row.status}; only a prepared authority can be activated`)
    }
    const wait = row.created_at + context.publishAheadSeconds - context.now()
    if (wait > 0 && !force) {
      throw new Problem(
        409,
        'too_early',
        `it was published less than ${context.publishAheadSeconds} seconds ago, and not everybody knows it: wait ${wait} seconds, or force it`,
      )
    }
    return activate(transaction, row, context, actor)
  })
}

/**
 * The prepared one, or else a new one, known or not.
 * @param options.only if this holds for the active one, when nobody else can change it
 * @returns the id of the one that would sign
 * @throws Problem `too_many_authorities` @throws CaUnavailable
 */
export async function activateAtOnce(
  kind: AuthorityKind,
  context: AuthorityContext,
  {
    actor = {},
    only = () => true,
  }: { actor?: Actor; only?: (active: CertificateAuthorityRow | undefined) => boolean } = {},
): Promise<string> {
  const made = { ...(await makeAuthority(kind, context)), status: 'prepared' }
  let next: CertificateAuthorityRow = made
  await changeAuthorities(context, async (transaction) => {
    if (!only(await authorityWithStatus(transaction, context, kind, 'active'))) return
    const prepared = await authorityWithStatus(transaction, context, kind, 'prepared')
    if (prepared && isUsable(prepared, context)) {
      next = prepared
    } else {
      // It has never signed, so nobody misses it.
      if (prepared) await setAuthority(transaction, prepared.id, withdrawn(context))
      await insertAuthority(transaction, made, 'prepared', context)
    }
    return activate(transaction, next, context, actor)
  })
  return next.id
}

/** Within a change of the authorities, which it returns the description of. @throws CaUnavailable */
export async function activate(
  transaction: StoreTransaction,
  next: CertificateAuthorityRow,
  context: AuthorityContext,
  actor: Actor,
): Promise<MadeChange> {
  const now = context.now()
  // A key that cannot be opened must not take the place of one that can.
  openAuthorityKey(next, context.masterKey)
  const active = await authorityWithStatus(transaction, context, next.kind as AuthorityKind, 'active')
  // Its certificate is needed still, its key never again.
  if (active) {
    await setAuthority(transaction, active.id, { status: 'retired', retired_at: now, sealed_private_key: '' })
  }
  await setAuthority(transaction, next.id, { status: 'active', activated_at: now })
  const detail = { kind: next.kind, retires: active?.id ?? null }
  return { ...actor, type: 'ca.activated', target: `ca/${next.id}`, detail }
}

function isUsable(prepared: CertificateAuthorityRow, { masterKey, now }: AuthorityContext): boolean {
  if (prepared.expires_at <= now()) return false
  try {
    openAuthorityKey(prepared, masterKey)
    return true
  } catch {
    return false
  }
}
