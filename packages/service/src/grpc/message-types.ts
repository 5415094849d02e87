import { existsSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { fromJSON, type MethodDefinition } from '@grpc/proto-loader'
import protobuf from 'protobufjs'

/** What .proto files declare, in protobufjs's own JSON form. */
export interface TypesJson {
  readonly nested?: Readonly<Record<string, object>>
}

export interface ServiceTypes {
  readonly json: TypesJson
  /** By the names in the .proto file; undefined where it has no such service. */
  methodsOf(service: string): Readonly<Record<string, GrpcMethodTypes>> | undefined
}

/** A method, and the types of its messages to check values by. */
export type GrpcMethodTypes = MethodDefinition<object, object> & {
  readonly request: protobuf.Type
  readonly response: protobuf.Type
}

/**
 * Reads a .proto file and what it imports, from its own folder or beside the file that imports.
 * `keepCase`: fields are called as in the file, else in lowerCamelCase as in JSON. Throws what the parser throws.
 */
export function readProtoFile(protoFile: string, keepCase: boolean): ServiceTypes {
  const root = new protobuf.Root()
  root.resolvePath = (origin, target) => {
    const folders = [dirname(protoFile), ...(origin === '' ? [] : [dirname(origin)])]
    return folders.map((folder) => resolve(folder, target)).find((path) => existsSync(path)) ?? target
  }
  root.loadSync(protoFile, { keepCase })
  root.resolveAll()
  return serviceTypes(root.toJSON({ keepComments: false }) as TypesJson)
}

/** `defaults`: messages are read with what is not on the wire filled in. Throws for types that contradict themselves. */
export function serviceTypes(json: TypesJson, { defaults = false } = {}): ServiceTypes {
  const tree = json as protobuf.INamespace
  const definitions = fromJSON(tree, { enums: String, bytes: String, arrays: true, defaults })
  const root = protobuf.Root.fromJSON(tree).resolveAll()
  return {
    json,
    methodsOf(name) {
      const service = root.lookup(name, [protobuf.Service])
      if (service === null || !Object.hasOwn(definitions, name)) return undefined
      const methods = definitions[name] as unknown as Record<string, MethodDefinition<object, object>>
      return Object.fromEntries(
        Object.entries(methods).map(([method, definition]) => {
          const { resolvedRequestType, resolvedResponseType } = (service as protobuf.Service).methods[method]!
          return [method, { ...definition, request: resolvedRequestType!, response: resolvedResponseType! }]
        }),
      )
    },
  }
}
