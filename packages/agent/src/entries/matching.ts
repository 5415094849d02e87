import type { Selector } from '../attestors/workload-attestor.ts'
import type { AuthorizedEntry } from './authorized-entry.ts'

/** Selectors in a form that compares. */
export type SelectorSet = ReadonlySet<string>

export function selectorSet(selectors: readonly Selector[]): SelectorSet {
  return new Set(selectors.map(selectorText))
}

/** `unix:uid:1000` */
export function selectorText({ type, value }: Selector): string {
  return `${type}:${value}`
}

/** What of the entry's selectors the workload lacks; none of them missing is a match. */
export function missingSelectors(entry: AuthorizedEntry, workload: SelectorSet): string[] {
  return entry.selectors.map(selectorText).filter((selector) => !workload.has(selector))
}

/**
 * What of the entry's policy the workload does not meet, a sentence each.
 * @param workload the user id is the kernel's, the selectors are the attestors'
 */
export function policyFailures(entry: AuthorizedEntry, workload: { uid: number; selectors: SelectorSet }): string[] {
  const { policy } = entry
  if (policy === undefined) return []
  const failures: string[] = []
  if (policy.notRoot && workload.uid === 0) failures.push('it runs as root (uid 0)')
  if (policy.binarySha256.length > 0) {
    const approved = policy.binarySha256.some((hash) => workload.selectors.has(`unix:sha256:${hash}`))
    if (!approved) failures.push(hashFailure(workload.selectors))
  }
  return failures
}

function hashFailure(selectors: SelectorSet): string {
  const prefix = 'unix:sha256:'
  const found = [...selectors].find((selector) => selector.startsWith(prefix))
  if (found === undefined) return 'the hash of its binary could not be found out'
  return `its binary's SHA-256 ${found.slice(prefix.length)} is not among the approved ones`
}

/**
 * Of entries with the same hint only the oldest is served, so that a hint names one identity (SPIFFE Workload API,
 * section 5.2.1); ties go to the lower id, as with SPIRE's agent.
 */
export function withUniqueHints(entries: readonly AuthorizedEntry[]): AuthorizedEntry[] {
  const oldest = new Map<string, AuthorizedEntry>()
  for (const entry of entries) {
    const other = oldest.get(entry.hint)
    if (entry.hint !== '' && (other === undefined || byAge(entry, other) < 0)) oldest.set(entry.hint, entry)
  }
  return entries.filter((entry) => entry.hint === '' || oldest.get(entry.hint) === entry)
}

/** For sorting: the older one first. */
export function byAge(one: AuthorizedEntry, other: AuthorizedEntry): number {
  return one.createdAt - other.createdAt || (one.id < other.id ? -1 : 1)
}
