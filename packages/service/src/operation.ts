import type { Caller, ServiceTokenPayload } from '@countersign/guard'
import type { Admission } from './admission.ts'
import type { AuthOptions, GrpcMethod, JsonSchema, Route } from './document/service-document.ts'

/** One business API or edge controller, whatever the transport it is reached over. */
export interface Operation {
  readonly kind: 'businessApi' | 'edgeController'
  /** The business API's `name`, or the edge controller's `functionName`. */
  readonly name: string
  readonly authOptions: AuthOptions
  readonly rest?: Route
  readonly grpc?: GrpcMethod
  readonly kafka?: { readonly requestTopic: string }
  /** A business API's schema, for transports whose values are texts. */
  readonly input?: JsonSchema
  /**
   * Runs it for a call that was admitted: input against its schema, handler, actions. Resolves with what the handler
   * gave. Rejects with Problem, whose sentence may be shown to whoever calls; everything else that went wrong has been
   * logged by then.
   */
  invoke(call: OperationCall): Promise<unknown>
}

export type TransportName = 'rest' | 'grpc' | 'kafka'

/** What a transport hands over after `admit`. */
export interface OperationCall {
  readonly transport: TransportName
  readonly admission: Admission
  /** A business API's input as it came: path, query and body together, the gRPC message, or the Kafka message. */
  readonly input?: unknown
  /** For edge controllers, instead of `input`. */
  readonly request?: IncomingCall
  /** Told to the handler: it ends when whoever calls has gone. */
  readonly signal?: AbortSignal
}

/** What an edge function gets as `req`, before who calls is added. */
export interface IncomingCall {
  /** REST only. */
  readonly method?: string
  /** REST only: the path without the query, as it came. */
  readonly path?: string
  /** REST only: path and query, as they came. */
  readonly url?: string
  /** Names in lower case, without the service token. */
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>
  readonly query: Readonly<Record<string, string | readonly string[]>>
  readonly params: Readonly<Record<string, string>>
  readonly body: unknown
  /** The content exactly as it came, for signatures of webhooks. */
  readonly rawBody: Buffer
  /** Kafka only. */
  readonly topic?: string
}

/** `req` of an edge function. */
export interface EdgeRequest extends IncomingCall {
  readonly transport: TransportName
  readonly caller: Caller | undefined
  readonly m2mPayload: ServiceTokenPayload | undefined
  readonly session: Admission['session']
  readonly tenant: string | undefined
}
