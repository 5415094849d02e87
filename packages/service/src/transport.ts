import type { ServiceTokenVerifier } from '@countersign/guard'
import type { Admission, AdmissionRules } from './admission.ts'
import type { Operation, TransportName } from './operation.ts'
import type { ServiceLogger } from './service-context.ts'
import type { ServiceSettings } from './settings/settings.ts'

/** One way to reach a service's operations: REST, gRPC, Kafka. */
export interface Transport {
  /** Takes calls from then on. Rejects with ServiceError when it cannot. */
  start(): Promise<void>
  /** Takes no new calls, lets those that run come to their end, and resolves then. */
  stop(): Promise<void>
  /** Rejects, with a sentence for whoever looks after the service, while it cannot do its work. */
  ready?(): Promise<void>
}

/** What a transport is built from. `createGrpcTransport(runtime)` and `createKafkaTransport(runtime)` return a Transport. */
export interface TransportRuntime {
  /** All of them; a transport serves those that have its settings. */
  readonly operations: readonly Operation[]
  /** Undefined where no operation takes service tokens. */
  readonly verifier: ServiceTokenVerifier | undefined
  /** For `admit`. */
  readonly admission: AdmissionRules
  readonly settings: ServiceSettings
  readonly log: ServiceLogger
  /** Told of every call once it is over, for log and metrics. */
  onCall(call: FinishedCall): void
}

export interface FinishedCall {
  readonly operation: Operation
  readonly transport: TransportName
  /** Undefined where the call was refused. */
  readonly admission: Admission | undefined
  /** As in HTTP, whatever the transport: 200, 401, ... */
  readonly status: number
  /** Why it was refused or failed: `reason` of a GuardError, `code` of a Problem. */
  readonly reason?: string
  readonly milliseconds: number
}
