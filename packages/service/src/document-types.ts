import type { AuthOptions } from './operation.ts'
export type JsonSchema = Record<string, unknown>
export interface ServiceDocument {
  readonly serviceOptions: {
    readonly machineToMachineBlockList: readonly string[]
    readonly allowedM2MClients: readonly string[] | undefined
    readonly multiTenant: boolean
  }
  readonly businessApis: readonly BusinessApi[]
  readonly edgeControllers: readonly EdgeController[]
  readonly actions: {
    readonly apiCallActions: readonly ApiCallAction[]
    readonly interserviceCallActions: readonly InterserviceCallAction[]
    readonly publishEventActions: readonly PublishEventAction[]
  }
}
export interface BusinessApi {
  readonly name: string
  readonly authOptions: AuthOptions
  readonly rest: { readonly method: string; readonly path: string }
  readonly grpc?: { readonly protoFile: string; readonly service: string; readonly method: string }
  readonly kafka?: { readonly requestTopic: string }
  readonly input?: JsonSchema
  readonly actions: readonly string[]
}
export interface EdgeController {
  readonly functionName: string
  readonly authOptions: AuthOptions
  readonly rest?: { readonly method: string; readonly path: string }
  readonly kafka?: { readonly requestTopic: string }
}
export interface Expression {
  readonly source: string
  evaluate(context: object): unknown
}
export interface ApiCallAction {
  readonly name: string
  readonly request: {
    readonly method: Expression
    readonly url: Expression
    readonly params?: Expression
    readonly headers?: Expression
    readonly body?: Expression
  }
}
export interface InterserviceCallAction {
  readonly name: string
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
