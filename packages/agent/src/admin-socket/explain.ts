import { readlinkSync } from 'node:fs'
import { selectorText } from '../entries/matching.ts'
import { readCredentials } from '../process/process-state.ts'
import { WorkloadError } from '../process/workload-error.ts'
import { pinProcess } from '../process/workload-process.ts'
import type { X509SvidCache } from '../svids/x509-svid-cache.ts'
import type { WorkloadIdentities } from '../workloads/workload-identities.ts'

/** How each entry of this node stands to one process. */
export interface Explanation {
  readonly pid: number
  readonly uid: number
  readonly gid: number
  /** Of its program; null when the kernel does not say. */
  readonly path: string | null
  readonly selectors: readonly string[]
  /** What could not be found out about it. */
  readonly problems: readonly string[]
  readonly entries: readonly {
    readonly id: string
    readonly spiffe_id: string
    /** The selectors match and the policy is met: the process may have this identity. */
    readonly matched: boolean
    readonly missing_selectors: readonly string[]
    readonly policy_failures: readonly string[]
    /** Why the server does not sign for it, if so. */
    readonly problem: string | null
  }[]
}

/**
 * What the agent sees of a process and why it gets which identity; entries that it nearly matches come first.
 * @throws WorkloadError when there is no such process
 */
export async function explainProcess(
  pid: number,
  { identities, svids }: { identities: WorkloadIdentities; svids: X509SvidCache },
): Promise<Explanation> {
  const { uid, gid } = readProcessCredentials(pid)
  const workload = await identities.look(pinProcess({ pid, uid, gid }))
  const entries = identities.verdicts(workload).map(({ entry, missingSelectors, policyFailures }) => ({
    id: entry.id,
    spiffe_id: entry.spiffeId,
    matched: missingSelectors.length === 0 && policyFailures.length === 0,
    missing_selectors: missingSelectors,
    policy_failures: policyFailures,
    problem: svids.problemOf(entry.id) ?? null,
  }))
  const distance = (entry: (typeof entries)[number]) =>
    entry.missing_selectors.length * 100 + entry.policy_failures.length
  entries.sort((one, other) => distance(one) - distance(other))
  return {
    pid,
    uid,
    gid,
    path: programOf(pid),
    selectors: workload.selectors.map(selectorText),
    problems: workload.problems.map(({ attestor, problem }) => `${attestor}: ${problem}`),
    entries,
  }
}

function readProcessCredentials(pid: number) {
  try {
    return readCredentials(`/proc/${pid}`)
  } catch (error) {
    throw new WorkloadError('ended_process', 'there is no such process, or this agent may not see it', error)
  }
}

function programOf(pid: number): string | null {
  try {
    return readlinkSync(`/proc/${pid}/exe`)
  } catch {
    return null
  }
}
