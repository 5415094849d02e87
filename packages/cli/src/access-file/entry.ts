import { formatDuration } from '../duration.ts'
import { formatInstant } from '../instant.ts'
import type { Entry, EntryPolicy } from '../resources.ts'
import type { Path } from './places.ts'
import type { Reader } from './reader.ts'

/** A registration entry in an access file. What it says of whom (SPIFFE ID, parent, selectors) is what it is known by. */
export type WantedEntry = Omit<Entry, 'id' | 'revision_number' | 'created_at' | 'updated_at'>

export const defaultEntry = {
  x509_svid_ttl: 0,
  jwt_svid_ttl: 0,
  dns_names: [] as string[],
  hint: '',
  federates_with: [] as string[],
  admin: false,
  downstream: false,
  store_svid: false,
  expires_at: null,
  policy: null,
}

type Identity = Pick<Entry, 'spiffe_id' | 'parent_id' | 'selectors'>

/** The same for two that the server would not have beside each other. */
export function entryKey({ spiffe_id, parent_id, selectors }: Identity): string {
  return JSON.stringify([spiffe_id, parent_id, ...[...new Set(selectors)].sort()])
}

export function entryName({ spiffe_id, parent_id, selectors }: Identity): string {
  return `${spiffe_id} below ${parent_id} for ${selectors.toSorted().join(', ')}`
}

/** The server makes one when an agent joins by a token for a second ID; it is no business of an access file. */
export function isOfJoinToken({ parent_id, selectors }: Identity): boolean {
  return parent_id.includes('/spire/agent/join_token/') && selectors.join() === `spiffe_id:${parent_id}`
}

const required = ['spiffe_id', 'parent_id', 'selectors']

export function readEntry(value: unknown, path: Path, reader: Reader): WantedEntry {
  const entry = reader.object(value, path, [...required, ...Object.keys(defaultEntry)], required)
  const at = (key: string) => [...path, key]
  const id = (key: string) => reader.text(entry[key], at(key)) ?? ''
  const truth = (key: 'admin' | 'downstream' | 'store_svid') => reader.boolean(entry[key], at(key)) ?? defaultEntry[key]
  const selectors = reader.texts(entry.selectors, at('selectors')) ?? []
  if (Array.isArray(entry.selectors) && selectors.length === 0) {
    reader.fault(at('selectors'), 'an entry without selectors would be every workload; name one such as unix:uid:1000')
  }
  return {
    spiffe_id: id('spiffe_id'),
    parent_id: id('parent_id'),
    selectors: selectors.sort(),
    x509_svid_ttl: readSeconds(entry.x509_svid_ttl, at('x509_svid_ttl'), reader) ?? 0,
    jwt_svid_ttl: readSeconds(entry.jwt_svid_ttl, at('jwt_svid_ttl'), reader) ?? 0,
    dns_names: reader.texts(entry.dns_names, at('dns_names')) ?? [],
    hint: entry.hint === '' ? '' : (reader.text(entry.hint, at('hint')) ?? ''),
    federates_with: reader.texts(entry.federates_with, at('federates_with')) ?? [],
    admin: truth('admin'),
    downstream: truth('downstream'),
    store_svid: truth('store_svid'),
    expires_at: readTime(entry.expires_at, at('expires_at'), reader),
    policy: readPolicy(entry.policy, at('policy'), reader),
  }
}

/** As it stands in an access file: without what is as by default. */
export function entryObject(entry: Entry): object {
  const { policy } = entry
  return {
    spiffe_id: entry.spiffe_id,
    parent_id: entry.parent_id,
    selectors: entry.selectors.toSorted(),
    ...(entry.x509_svid_ttl > 0 && { x509_svid_ttl: formatDuration(entry.x509_svid_ttl) }),
    ...(entry.jwt_svid_ttl > 0 && { jwt_svid_ttl: formatDuration(entry.jwt_svid_ttl) }),
    ...(entry.dns_names.length > 0 && { dns_names: entry.dns_names }),
    ...(entry.hint !== '' && { hint: entry.hint }),
    ...(entry.federates_with.length > 0 && { federates_with: entry.federates_with.toSorted() }),
    ...(entry.admin && { admin: true }),
    ...(entry.downstream && { downstream: true }),
    ...(entry.store_svid && { store_svid: true }),
    ...(entry.expires_at !== null && { expires_at: entry.expires_at }),
    ...(policy && {
      policy: {
        ...policy,
        ...(policy.node_attested_within && { node_attested_within: formatDuration(policy.node_attested_within) }),
      },
    }),
  }
}

function readPolicy(value: unknown, path: Path, reader: Reader): EntryPolicy | null {
  if (value === undefined || value === null) return null
  const policy = reader.object(value, path, ['binary_sha256', 'not_root', 'node_attested_within'])
  const hashes = reader.texts(policy.binary_sha256, [...path, 'binary_sha256'])
  const notRoot = reader.boolean(policy.not_root, [...path, 'not_root'])
  const within = readSeconds(policy.node_attested_within, [...path, 'node_attested_within'], reader)
  const demands = {
    ...(hashes && { binary_sha256: hashes.sort() }),
    ...(notRoot && { not_root: true }),
    ...(within && { node_attested_within: within }),
  }
  return Object.keys(demands).length === 0 ? null : demands
}

function readTime(value: unknown, path: Path, reader: Reader): string | null {
  const text = reader.text(value, path)
  if (text === undefined) return null
  const time = /^\d{4}-\d\d-\d\dT[\d:.]+(Z|[+-]\d\d:\d\d)$/.test(text) ? Date.parse(text) : Number.NaN
  if (!Number.isNaN(time)) return formatInstant(Math.floor(time / 1000))
  reader.fault(path, `${JSON.stringify(text)} is not a time; write it like 2027-01-31T12:00:00Z`)
  return null
}

/** 0 is as the server has it. */
function readSeconds(value: unknown, path: Path, reader: Reader): number | undefined {
  return value === 0 ? undefined : reader.seconds(value, path)
}
