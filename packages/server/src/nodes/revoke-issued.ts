import { sql } from 'kysely'
import { type Administrator, actorOf } from '../admin/administrator.ts'
import { type EventPlace, placeOf } from '../audit/read-events.ts'
import type { Authority } from '../authority.ts'
import { longestSvidLifetimeSeconds } from '../registration-entries/registration-entry.ts'
import { insertSvidRevocations, type SvidToRevoke } from '../revocation/revoke.ts'

/** So many are read or revoked before others get their turn. */
const pageSize = 1000

/**
 * Revokes every SVID that an agent got for its workloads and that still lives. The audit trail names them: each is
 * recorded there before it is given away. What is on the revocation feed already is left as it is.
 * @throws StoreError `unavailable`; what was revoked by then stays so, and calling again does the rest
 */
export async function revokeIssued(agentId: string, authority: Authority, administrator: Administrator): Promise<void> {
  const { revocations, feed } = authority
  let after: EventPlace | undefined
  do {
    const rows = await issuedAfter(after, authority)
    const svids = rows
      .map(({ event }) => issuedTo(agentId, event))
      .filter((svid) => svid !== undefined)
      .filter(({ expiresAt }) => expiresAt > authority.now())
      .filter(
        ({ serial, jti }) => !(serial ? revocations.isRevokedSerial(serial) : revocations.isRevokedJwtSvid({ jti })),
      )
    if (svids.length > 0) await revoke(agentId, svids, authority, administrator)
    const last = rows.length === pageSize ? rows.at(-1) : undefined
    after = last && placeOf(last)
  } while (after)
  await feed.catchUp()
}

function issuedAfter(after: EventPlace | undefined, { store, now }: Authority) {
  const since = new Date((now() - longestSvidLifetimeSeconds) * 1000).toISOString()
  const [time, chain, sequence] = after ?? [since, '', -1]
  return (
    store.database
      .selectFrom('audit_events')
      .selectAll()
      // Spelt out, as the index of these events is found only so.
      .where(sql<boolean>`type = 'svid.issued'`)
      .where(sql<boolean>`(time, chain, sequence) > (${time}, ${chain}, ${sequence})`)
      .orderBy('time')
      .orderBy('chain')
      .orderBy('sequence')
      .limit(pageSize)
      .execute()
  )
}

function issuedTo(agentId: string, event: string): SvidToRevoke | undefined {
  const { jti, detail } = JSON.parse(event)
  if (detail.agent_id !== agentId) return undefined
  const named = detail.kind === 'x509' ? { serial: detail.serial_number } : { jti }
  return { ...named, spiffeId: detail.spiffe_id, expiresAt: detail.expires_at }
}

async function revoke(
  agentId: string,
  svids: readonly SvidToRevoke[],
  authority: Authority,
  administrator: Administrator,
): Promise<void> {
  await authority.audit.recordChange(
    {
      ...actorOf(administrator),
      type: 'svid.revoked',
      outcome: 'success',
      target: `node/${agentId}`,
      reason: 'the node was banned',
      detail: {
        agent_id: agentId,
        serial_numbers: svids.flatMap(({ serial }) => serial ?? []),
        jwt_ids: svids.flatMap(({ jti }) => jti ?? []),
      },
    },
    (transaction) => insertSvidRevocations(transaction, svids, authority),
  )
}
