import { isAgentId, isSystemId, parseSpiffeId, type SpiffeId, serverId } from '@countersign/spiffe'
import { type FieldError, invalid } from '../admin/request-validation.ts'
import type { EntryPatch } from './entry-resource.ts'
import { type EntryValues, sortSelectors } from './insert-entry.ts'
import type { EntryPolicy, Selector } from './registration-entry.ts'

/**
 * What a request says of an entry, in our own words; what it does not say is left out.
 * @throws Problem `invalid`, naming the member
 */
export function readEntryPatch(patch: EntryPatch, trustDomain: string, now: number): Partial<EntryValues> {
  const expiresAt = patch.expires_at ? Math.floor(Date.parse(patch.expires_at) / 1000) : undefined
  if (expiresAt !== undefined && expiresAt <= now) throw wrong('expires_at', 'is over')
  return {
    ...(patch.spiffe_id !== undefined && { spiffeId: workloadId(patch.spiffe_id, trustDomain, 'spiffe_id') }),
    ...(patch.parent_id !== undefined && { parentId: parentId(patch.parent_id, trustDomain) }),
    ...(patch.selectors && { selectors: sortSelectors(patch.selectors.map(readSelector)) }),
    ...(patch.x509_svid_ttl !== undefined && { x509SvidTtlSeconds: patch.x509_svid_ttl }),
    ...(patch.jwt_svid_ttl !== undefined && { jwtSvidTtlSeconds: patch.jwt_svid_ttl }),
    ...(patch.dns_names && { dnsNames: unique(patch.dns_names) }),
    ...(patch.hint !== undefined && { hint: patch.hint }),
    ...(patch.federates_with && { federatesWith: foreign(patch.federates_with, trustDomain) }),
    ...(patch.admin !== undefined && { admin: patch.admin }),
    ...(patch.downstream !== undefined && { downstream: patch.downstream }),
    ...(patch.store_svid !== undefined && { storeSvid: patch.store_svid }),
    ...(patch.expires_at !== undefined && { expiresAt }),
    ...(patch.policy !== undefined && { policy: readPolicy(patch.policy) }),
  }
}

/** What only shows when the whole entry is there. @throws Problem `invalid` */
export function checkEntry({ parentId, policy }: EntryValues, trustDomain: string): void {
  const isAlias = parentId === serverId(trustDomain).toString()
  if (isAlias && (policy?.binarySha256 || policy?.notRoot)) {
    throw wrong('policy', 'an alias of nodes stands before no workload: demand this of the entries below it')
  }
}

/**
 * The ID of something that is no part of the system itself: everything below `/spire` belongs to servers and agents.
 * @throws Problem `invalid`
 */
export function workloadId(text: string, trustDomain: string, path: string): string {
  const id = memberId(text, trustDomain, path)
  if (isSystemId(id)) throw wrong(path, 'begins with /spire, which is kept for servers and agents')
  return id.toString()
}

function parentId(text: string, trustDomain: string): string {
  const id = memberId(text, trustDomain, 'parent_id')
  const isServer = id.toString() === serverId(trustDomain).toString()
  if (isSystemId(id) && !isServer && !isAgentId(id)) {
    throw wrong('parent_id', 'must be an agent below /spire/agent/, /spire/server, or an ID that an entry gives')
  }
  return id.toString()
}

function memberId(text: string, trustDomain: string, path: string): SpiffeId {
  const id = parsed(text)
  if (!id) throw wrong(path, `must be a SPIFFE ID such as spiffe://${trustDomain}/web`)
  if (id.trustDomain !== trustDomain) throw wrong(path, `must be of the trust domain ${trustDomain}`)
  if (id.path === '') throw wrong(path, 'has no path: that is the trust domain itself')
  return id
}

function parsed(text: string): SpiffeId | undefined {
  try {
    return parseSpiffeId(text)
  } catch {
    return undefined
  }
}

export function readSelector(text: string): Selector {
  const colon = text.indexOf(':')
  return { type: text.slice(0, colon), value: text.slice(colon + 1) }
}

function foreign(names: readonly string[], trustDomain: string): string[] {
  const own = names.indexOf(trustDomain)
  if (own !== -1) throw wrong(`federates_with.${own}`, 'is the own trust domain')
  return unique(names)
}

function readPolicy(policy: EntryPatch['policy']): EntryPolicy | undefined {
  if (!policy) return undefined
  const { binary_sha256, not_root, node_attested_within } = policy
  const demands = {
    ...(binary_sha256 && { binarySha256: unique(binary_sha256).sort() }),
    ...(not_root && { notRoot: true }),
    ...(node_attested_within !== undefined && { nodeAttestedWithinSeconds: node_attested_within }),
  }
  return Object.keys(demands).length === 0 ? undefined : demands
}

function unique(texts: readonly string[]): string[] {
  return [...new Set(texts)]
}

function wrong(path: string, message: string): Error {
  const errors: FieldError[] = [{ path, message }]
  return invalid(errors)
}
