import type { Operation } from './operation.ts'

/** `/.well-known/service.json`: what a service can be asked for by name. */
export interface ServiceDescription {
  /** The full name: `inventory-service`. */
  readonly name: string
  readonly apis: Readonly<Record<string, ApiDescription>>
}

export interface ApiDescription {
  readonly method: string
  /** Parameters as `{name}`. */
  readonly path: string
  readonly grpc?: { readonly service: string; readonly method: string; readonly port: number }
}

/** Describes the business APIs. `grpcPort` is asked each time: 0 in the settings is another one once it listens. */
export function describeService(name: string, operations: readonly Operation[], grpcPort: number): ServiceDescription {
  const apis = operations
    .filter(({ kind, rest }) => kind === 'businessApi' && rest !== undefined)
    .map(({ name, rest, grpc }): [string, ApiDescription] => [
      name,
      {
        method: rest!.method,
        path: pathTemplate(rest!.path),
        ...(grpc && { grpc: { service: grpc.service, method: grpc.method, port: grpcPort } }),
      },
    ])
  return { name, apis: Object.fromEntries(apis) }
}

/** `/v1/stock/{id}` for `/v1/stock/:id`. */
export function pathTemplate(path: string): string {
  return path.replaceAll(/:(\w+)/g, '{$1}')
}
