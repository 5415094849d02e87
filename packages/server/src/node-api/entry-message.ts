import type { Entry, EntryMask } from '@countersign/spiffe/protocol/spire-types'
import type { RegistrationEntry } from '../registration-entries/registration-entry.ts'
import { toWireId } from './wire-ids.ts'

/**
 * An entry as SPIRE's API has it.
 * @param mask which members are asked for; all without one. The id is always there
 * @param withPolicy for agents that know what to do with it
 */
export function toWireEntry(entry: RegistrationEntry, mask: EntryMask | undefined, withPolicy: boolean): Entry {
  const wants = (member: keyof EntryMask) => mask === undefined || mask[member]
  return {
    id: entry.id,
    spiffeId: wants('spiffeId') ? toWireId(entry.spiffeId) : undefined,
    parentId: wants('parentId') ? toWireId(entry.parentId) : undefined,
    selectors: wants('selectors') ? entry.selectors.map(({ type, value }) => ({ type, value })) : [],
    x509SvidTtl: wants('x509SvidTtl') ? entry.x509SvidTtlSeconds : 0,
    jwtSvidTtl: wants('jwtSvidTtl') ? entry.jwtSvidTtlSeconds : 0,
    federatesWith: wants('federatesWith') ? [...entry.federatesWith] : [],
    admin: wants('admin') && entry.admin,
    downstream: wants('downstream') && entry.downstream,
    expiresAt: wants('expiresAt') ? (entry.expiresAt ?? 0) : 0,
    dnsNames: wants('dnsNames') ? [...entry.dnsNames] : [],
    revisionNumber: wants('revisionNumber') ? entry.revisionNumber : 0,
    storeSvid: wants('storeSvid') && entry.storeSvid,
    hint: wants('hint') ? entry.hint : '',
    createdAt: wants('createdAt') ? entry.createdAt : 0,
    policy: withPolicy && entry.policy ? toWirePolicy(entry.policy) : undefined,
  }
}

function toWirePolicy(policy: NonNullable<RegistrationEntry['policy']>): NonNullable<Entry['policy']> {
  return {
    binarySha256: [...(policy.binarySha256 ?? [])],
    notRoot: policy.notRoot ?? false,
    nodeAttestedWithinSeconds: policy.nodeAttestedWithinSeconds ?? 0,
  }
}
