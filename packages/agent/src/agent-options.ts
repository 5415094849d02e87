import type { AgentLog } from './agent-log.ts'
import type { WorkloadAttestor } from './attestors/workload-attestor.ts'
import type { Clock } from './clock.ts'
import type { NodeCredential } from './node-attestation/node-attestors.ts'
import type { ProcessWatch } from './process/process-watch.ts'
import type { Bootstrap } from './server-connection/bootstrap.ts'

/** What an agent runs with; `readAgentSettings` makes the plain part of it. */
export interface AgentOptions {
  /** The server's node API, `host:port`. */
  readonly server: string
  readonly trustDomain: string
  readonly bootstrap: Bootstrap
  /** Unset: only a stored identity will do. */
  readonly node?: NodeCredential
  /** Of the Workload API and SDS. Default `/run/countersign/agent.sock`. */
  readonly socket?: string
  /** For the operator. None: no admin socket. */
  readonly adminSocket?: string
  /** For playing, in a folder like any other: whoever may rename one above the sockets' own can put another agent there. */
  readonly trustFoldersAboveSockets?: boolean
  /** Where the agent's own key and SVID are kept. None: they are in memory alone. */
  readonly dataDirectory?: string
  readonly attestors: readonly WorkloadAttestor[]
  /** Default 5. */
  readonly syncIntervalSeconds?: number
  /** How long after a workload's last process its identity ends. Default 30. */
  readonly graceSeconds?: number
  /** How many SVIDs are kept ready before anybody asks. Default 1000. */
  readonly prefetch?: number
  /** Told to the server. */
  readonly version?: string
  readonly log?: AgentLog
  readonly clock?: Clock
  /** From 0 up to 1. */
  readonly random?: () => number
  readonly processWatch?: ProcessWatch
}

export const defaultSocket = '/run/countersign/agent.sock'
