/** What a workload is, or must be: `unix:uid:1000` has type `unix` and value `uid:1000`. */
export interface Selector {
  readonly type: string
  readonly value: string
}

/** The process at the other end of a Unix socket, as the kernel names it. */
export interface WorkloadProcess {
  readonly pid: number
  readonly uid: number
  readonly gid: number
  /** When the process began, in the kernel's own count: a reused pid has another. */
  readonly startTime: string
  /** True while this very process lives; false once its pid is gone or someone else's. */
  isAlive(): boolean
}

/** Says what one source knows about a process. A new one is a file in `attestors/`. */
export interface WorkloadAttestor {
  readonly name: string
  /** @throws when its source cannot be asked; none at all is an empty list */
  attest(process: WorkloadProcess): Promise<readonly Selector[]>
}

/** Tells when a process has ended. */
export interface ProcessWatch {
  /** Calls `onEnded` once; what it gives back stops watching. */
  watch(process: WorkloadProcess, onEnded: () => void): () => void
  close(): void
}

/** `unix:uid:1000` */
export function formatSelector(selector: Selector): string {
  return `${selector.type}:${selector.value}`
}
