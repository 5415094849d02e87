import { AgentError } from '../agent-error.ts'
import type { AgentLog } from '../agent-log.ts'
import type { Selector } from '../attestors/workload-attestor.ts'
import { attestWorkload, type WorkloadAttestor } from '../attestors/workload-attestor.ts'
import type { BundleStore } from '../bundles/bundle-store.ts'
import type { AuthorizedEntry } from '../entries/authorized-entry.ts'
import type { EntryStore } from '../entries/entry-store.ts'
import {
  byAge,
  missingSelectors,
  policyFailures,
  type SelectorSet,
  selectorSet,
  selectorText,
  withUniqueHints,
} from '../entries/matching.ts'
import type { WorkloadProcess } from '../process/workload-process.ts'
import type { IssuedX509Svid } from '../svids/issue-x509-svids.ts'
import type { X509SvidCache } from '../svids/x509-svid-cache.ts'
import type { DeliveredSvids } from './delivered-svids.ts'
import type { Holders } from './holders.ts'
import type { Reports } from './reports.ts'

/** What a workload was found to be. */
export interface AttestedWorkload {
  readonly process: WorkloadProcess
  readonly selectors: readonly Selector[]
  readonly selectorSet: SelectorSet
  /** What could not be found out, for the operator. */
  readonly problems: readonly { readonly attestor: string; readonly problem: string }[]
}

/** How one entry stands to one workload. */
export interface EntryVerdict {
  readonly entry: AuthorizedEntry
  readonly missingSelectors: readonly string[]
  readonly policyFailures: readonly string[]
}

export interface WorkloadIdentitiesOptions {
  readonly attestors: readonly WorkloadAttestor[]
  readonly entries: EntryStore
  readonly svids: X509SvidCache
  readonly bundles: BundleStore
  readonly holders: Holders
  readonly delivered: DeliveredSvids
  readonly reports: Reports
  readonly log: AgentLog
  /** Resolves when the first synchronization is done. */
  readonly synchronized: () => Promise<void>
}

/** Who may have which identity: attestation, matching and policy in one place, for every protocol that gives them out. */
export class WorkloadIdentities {
  readonly #options: WorkloadIdentitiesOptions
  /** Every rotation wakes every stream, and most find that nothing of theirs changed. */
  readonly #matched = new WeakMap<
    AttestedWorkload,
    { all: ReadonlyMap<string, AuthorizedEntry>; entries: readonly AuthorizedEntry[] }
  >()
  readonly #stopListeners = new Set<() => void>()

  constructor(options: WorkloadIdentitiesOptions) {
    this.#options = options
  }

  /** @throws WorkloadError when the process ended or changed meanwhile; AgentError `unavailable` before the first synchronization */
  async attest(process: WorkloadProcess): Promise<AttestedWorkload> {
    await this.#options.synchronized()
    return this.look(process)
  }

  /** Attests a process that did not ask, for the operator. */
  async look(process: WorkloadProcess): Promise<AttestedWorkload> {
    const { selectors, problems } = await attestWorkload(this.#options.attestors, process)
    return { process, selectors, selectorSet: selectorSet(selectors), problems }
  }

  /** Every entry of the Workload API with what keeps it from this workload. */
  verdicts(workload: AttestedWorkload): EntryVerdict[] {
    const { uid } = workload.process
    return [...this.#options.entries.all().values()]
      .filter(({ storeSvid }) => !storeSvid)
      .map((entry) => ({
        entry,
        missingSelectors: missingSelectors(entry, workload.selectorSet),
        policyFailures: policyFailures(entry, { uid, selectors: workload.selectorSet }),
      }))
  }

  /** The entries whose identities this workload may have; a policy that fails is reported to the operator, not to it. */
  entriesFor(workload: AttestedWorkload): readonly AuthorizedEntry[] {
    const all = this.#options.entries.all()
    const last = this.#matched.get(workload)
    if (last?.all === all) return last.entries
    const entries = this.#match(workload, all)
    this.#matched.set(workload, { all, entries })
    return entries
  }

  #match(workload: AttestedWorkload, all: ReadonlyMap<string, AuthorizedEntry>): readonly AuthorizedEntry[] {
    const allowed: AuthorizedEntry[] = []
    const { process, selectorSet: selectors } = workload
    for (const entry of all.values()) {
      if (entry.storeSvid || !entry.selectors.every((selector) => selectors.has(selectorText(selector)))) continue
      const failures = policyFailures(entry, { uid: process.uid, selectors })
      if (failures.length === 0) allowed.push(entry)
      else this.#refuse(entry, workload, failures)
    }
    return withUniqueHints(allowed).sort(byAge)
  }

  /** Asks for the SVIDs of these entries and says which there are by now. */
  x509Svids(entries: readonly AuthorizedEntry[]): IssuedX509Svid[] {
    for (const { id } of entries) this.#options.svids.demand(id)
    return entries.map(({ id }) => this.#options.svids.get(id)).filter((svid) => svid !== undefined)
  }

  /** To be called with everything that a workload is given. */
  delivered(workload: AttestedWorkload, svid: IssuedX509Svid): void {
    this.#options.delivered.x509(svid.entry.id, svid.serialNumber, svid.expiresAt)
    this.#options.holders.hold(svid.entry.id, workload.process)
  }

  /** As `delivered`, for a JWT-SVID. */
  deliveredJwt(workload: AttestedWorkload, entry: AuthorizedEntry, jwtId: string | undefined, expiresAt: number): void {
    if (jwtId !== undefined) this.#options.delivered.jwt(entry.id, jwtId, expiresAt)
    this.#options.holders.hold(entry.id, workload.process)
  }

  /** Calls back, once for many changes, when something that a workload is given may have changed. */
  onChange(listener: () => void): () => void {
    let scheduled = false
    let closed = false
    const changed = () => {
      if (scheduled || closed) return
      scheduled = true
      setImmediate(() => {
        scheduled = false
        if (!closed) listener()
      })
    }
    const { entries, svids, bundles } = this.#options
    const stops = [entries.onChange(changed), svids.onChange(changed), bundles.onChange(changed)]
    return () => {
      closed = true
      for (const stop of stops) stop()
    }
  }

  /** Calls back once when the agent stops serving. */
  onStop(listener: () => void): () => void {
    this.#stopListeners.add(listener)
    return () => this.#stopListeners.delete(listener)
  }

  /** Ends every stream to a workload; it may connect to the agent that comes next. */
  stop(): void {
    for (const listener of [...this.#stopListeners]) listener()
  }

  /** Own trust domain first, then those that the entries federate with and that are known. */
  bundlesFor(entries: readonly AuthorizedEntry[]) {
    const own = this.#options.bundles.own()?.bundle
    if (own === undefined) throw new AgentError('unavailable', 'the trust bundle is not there yet')
    const names = new Set(entries.flatMap(({ federatesWith }) => federatesWith))
    const federated = [...names].map((name) => this.#options.bundles.get(name)).filter((bundle) => bundle !== undefined)
    return { own, federated: federated.filter(({ trustDomain }) => trustDomain !== own.trustDomain) }
  }

  #refuse(entry: AuthorizedEntry, workload: AttestedWorkload, failures: readonly string[]): void {
    const { process, selectors } = workload
    this.#options.reports.refused(
      {
        entryId: entry.id,
        spiffeId: entry.spiffeId,
        pid: process.pid,
        uid: process.uid,
        selectors: selectors.map(selectorText),
        failures: [...failures],
      },
      `${process.pid} ${process.startTime}`,
    )
  }
}
