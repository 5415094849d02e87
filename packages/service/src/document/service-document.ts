import type { Expression } from '../expressions/expression.ts'

/** What a service is, as read from its document: names checked, defaults filled in, expressions compiled. */
export interface ServiceDocument {
  readonly serviceOptions: ServiceOptions
  readonly businessApis: readonly BusinessApi[]
  readonly edgeControllers: readonly EdgeController[]
  readonly actions: {
    readonly apiCallActions: readonly ApiCallAction[]
    readonly interserviceCallActions: readonly InterserviceCallAction[]
    readonly publishEventActions: readonly PublishEventAction[]
  }
}

export interface ServiceOptions {
  readonly machineToMachineBlockList: readonly string[]
  /** An empty list lets nobody pass; undefined is no list. */
  readonly allowedM2MClients: readonly string[] | undefined
  readonly multiTenant: boolean
}

export interface AuthOptions {
  readonly loginRequired: boolean
  readonly M2MAllowed: boolean
}

export interface Route {
  /** In upper case */
  readonly method: string
  /** With parameters as `:name`, each a whole segment */
  readonly path: string
}

export interface BusinessApi {
  readonly name: string
  readonly authOptions: AuthOptions
  readonly rest: Route
  readonly grpc?: GrpcMethod
  readonly kafka?: { readonly requestTopic: string }
  /** What the input must be; a JSON schema, draft 2020-12 */
  readonly input?: JsonSchema
  /** Names of actions that run after the handler, in this order */
  readonly actions: readonly string[]
}

export interface GrpcMethod {
  /** An absolute path */
  readonly protoFile: string
  /** With its package, such as `shop.Inventory` */
  readonly service: string
  readonly method: string
}

export type JsonSchema = { readonly [keyword: string]: unknown }

/** Several may name the same function: one function, several routes. */
export interface EdgeController {
  readonly functionName: string
  readonly authOptions: AuthOptions
  readonly rest?: Route
  readonly kafka?: { readonly requestTopic: string }
}

export interface ApiCallAction {
  readonly name: string
  readonly request: {
    /** In upper case */
    readonly method: string
    /** Values that are filled into the URL are percent-encoded. */
    readonly url: Expression<string>
    readonly params?: Expression<Readonly<Record<string, string | readonly string[]>>>
    readonly headers?: Expression<Readonly<Record<string, string>>>
    readonly body?: Expression
  }
}

export interface InterserviceCallAction {
  readonly name: string
  /** Short name, without `-service` */
  readonly targetService: string
  readonly targetApi: string
  readonly parameters: readonly { readonly name: string; readonly value: Expression }[]
  readonly transport: 'rest' | 'grpc'
}

export interface PublishEventAction {
  readonly name: string
  readonly topic: string
  readonly message: Expression
  readonly key?: Expression
}
