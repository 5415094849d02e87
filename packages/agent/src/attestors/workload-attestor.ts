import type { WorkloadProcess } from '../process/workload-process.ts'

/** One fact of a workload, by which registration entries choose it: `unix:uid:1000` is type `unix`, value `uid:1000`. */
export interface Selector {
  readonly type: string
  readonly value: string
}

/** One way of finding out what a process is. */
export interface WorkloadAttestor {
  readonly name: string
  /** What this machine lacks for it, with the cure; said once when the agent starts, which goes on without it. */
  readonly lacks?: () => string | undefined
  /**
   * The selectors that hold for the process; none when it is not of this attestor's kind. What cannot be found out is
   * left out and noted: a missing selector never widens what a workload gets.
   */
  attest(process: WorkloadProcess, note: (problem: string) => void): Promise<readonly Selector[]>
}

export interface Attestation {
  readonly selectors: readonly Selector[]
  /** What could not be found out and why, for the operator. */
  readonly problems: readonly { readonly attestor: string; readonly problem: string }[]
}

/**
 * Asks all attestors about a process, as one step: when the process ended, changed its user or its program in the
 * meantime there is no answer at all, so that no selector of one process is given to another.
 *
 * @throws WorkloadError `ended_process`, `changed_process`
 */
export async function attestWorkload(
  attestors: readonly WorkloadAttestor[],
  process: WorkloadProcess,
): Promise<Attestation> {
  process.check()
  const problems: { attestor: string; problem: string }[] = []
  const answers = await Promise.all(
    attestors.map(async (attestor) => {
      const note = (problem: string) => problems.push({ attestor: attestor.name, problem })
      try {
        return await attestor.attest(process, note)
      } catch (error) {
        note(error instanceof Error ? error.message : String(error))
        return []
      }
    }),
  )
  process.check()
  return { selectors: answers.flat(), problems }
}
