import type { Caller, ServiceTokenPayload } from '@countersign/guard'
import type { TransportName } from './operation.ts'
import type { Session } from './session/session.ts'

/** What a handler gets beside its input: who calls, and what it may do with it. */
export interface ServiceContext {
  /** Who calls: a service, or the user of the session; undefined where the operation is open to anybody. */
  readonly caller: Caller | undefined
  /** The verified claims of the service token, `sender` among them. */
  readonly m2mPayload: ServiceTokenPayload | undefined
  readonly session: Session | undefined
  /** Signed, from the session, or (where nothing is proven) named by the call; see the service's documentation. */
  readonly tenant: string | undefined
  readonly transport: TransportName
  /** The document's actions by name; what they call is called for this call's tenant. */
  readonly actions: ServiceActions
  readonly publisher: EventPublisher
  readonly log: ServiceLogger
  /** Aborted when whoever calls has gone. */
  readonly signal: AbortSignal
}

/** Runs an action over a context, the `this` of its expressions. Rejects with ActionError. */
export type ServiceActions = Readonly<Record<string, (context?: object) => Promise<unknown>>>

/** As much of a publisher as handlers and actions use; `ServicePublisher` is one. */
export interface EventPublisher {
  publish(topic: string, message: unknown, options?: PublishOptions): Promise<void>
}

export interface PublishOptions {
  readonly key?: string | Uint8Array
  readonly tenant?: string
}

/** A pino logger fits. */
export interface ServiceLogger {
  debug(details: object, message: string): void
  info(details: object, message: string): void
  warn(details: object, message: string): void
  error(details: object, message: string): void
}
