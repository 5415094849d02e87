import type { RegistrationEntry } from './registration-entry.ts'

/** Agents that no entry's policy tells apart. */
export interface AgentClass {
  readonly key: string
  readonly workloadPolicies: boolean
  /** The entries that demand an attestation within fewer seconds than this are not for them */
  readonly freshnessSeconds: number
}

/**
 * @param steps the different demands there are, ascending: between two of them, age makes no difference
 */
export function classOf(
  options: { workloadPolicies: boolean; attestedAt: number; now: number },
  steps: readonly number[],
): AgentClass {
  const { workloadPolicies } = options
  const ageSeconds = options.now - options.attestedAt
  const freshnessSeconds = steps.find((step) => step >= ageSeconds) ?? Number.POSITIVE_INFINITY
  return { key: `${workloadPolicies ? 'w' : '-'}${freshnessSeconds}`, workloadPolicies, freshnessSeconds }
}

export function admits(
  { expiresAt, policy }: Pick<RegistrationEntry, 'expiresAt' | 'policy'>,
  agentClass: AgentClass,
  now: number,
): boolean {
  if (expiresAt !== undefined && expiresAt <= now) return false
  if (policy === undefined) return true
  // An agent that cannot enforce a demand on the workload must not get what the demand stands before.
  const demandsOfWorkload = policy.binarySha256 !== undefined || policy.notRoot === true
  if (demandsOfWorkload && !agentClass.workloadPolicies) return false
  const { nodeAttestedWithinSeconds } = policy
  return nodeAttestedWithinSeconds === undefined || nodeAttestedWithinSeconds >= agentClass.freshnessSeconds
}
