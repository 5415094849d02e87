import type { JsonSchema } from '../document/service-document.ts'
import type { Operation } from '../operation.ts'
import { ServiceError } from '../service-error.ts'
import { type GrpcMethodTypes, readProtoFile, type ServiceTypes } from './message-types.ts'

/** A business API with the method that it is reached by. */
export interface LoadedMethod {
  readonly operation: Operation
  /** With its package: `shop.Inventory`. */
  readonly service: string
  readonly method: string
  readonly types: ServiceTypes
  readonly definition: GrpcMethodTypes
}

/** Loads the methods of all operations that have one. Throws ServiceError `invalid_service` naming every fault. */
export function loadMethods(operations: readonly Operation[]): readonly LoadedMethod[] {
  const faults: string[] = []
  const methods: LoadedMethod[] = []
  const files = new Map<string, ServiceTypes | string>()
  for (const operation of operations) {
    if (operation.grpc === undefined) continue
    const loaded = loadMethod(operation, operation.grpc, files)
    if (typeof loaded === 'string') faults.push(`business API "${operation.name}": ${loaded}`)
    else methods.push(loaded)
  }
  for (const { operation, definition } of methods) {
    const first = methods.find((other) => other.definition.path === definition.path)!.operation
    if (first !== operation) faults.push(`"${first.name}" and "${operation.name}" both are ${definition.path}`)
  }
  if (faults.length > 0) throw new ServiceError('invalid_service', faults.join('; '))
  return methods
}

/** The method, or what is wrong with it. */
function loadMethod(
  operation: Operation,
  { protoFile, service, method }: NonNullable<Operation['grpc']>,
  files: Map<string, ServiceTypes | string>,
): LoadedMethod | string {
  const types = fileTypes(protoFile, namesFieldsAsInFile(operation.input), files)
  if (typeof types === 'string') return types
  const definitions = types.methodsOf(service)
  if (definitions === undefined) return `${protoFile} has no service ${service}; name it with its package`
  if (!Object.hasOwn(definitions, method)) {
    return `the service ${service} has no method ${method}; it has ${Object.keys(definitions).join(', ')}`
  }
  const definition = definitions[method]!
  if (definition.requestStream || definition.responseStream) {
    return `${definition.path} streams; a business API takes one message and answers with one`
  }
  const lacking = requiredBy(operation.input).find((name) => !Object.hasOwn(definition.request.fields, name))
  if (lacking !== undefined) {
    const message = definition.request.fullName.slice(1)
    return `its input requires "${lacking}", and the message ${message} has no such field`
  }
  return { operation, service, method, types, definition }
}

/**
 * Of what the input requires: fields without presence, whose 0, false or '' most languages do not send. Such a value
 * would be refused as missing.
 */
export function fieldsWithoutPresence({ operation, definition }: LoadedMethod): readonly string[] {
  return requiredBy(operation.input).filter((name) => {
    const { repeated, map, partOf, required, resolvedType, type } = definition.request.fields[name]!
    const isMessage = resolvedType !== null && 'fields' in resolvedType
    return !repeated && !map && partOf === null && !required && !isMessage && type !== 'string'
  })
}

function requiredBy(schema: JsonSchema | undefined): readonly string[] {
  const required = schema?.required
  return Array.isArray(required) ? required.filter((name) => typeof name === 'string') : []
}

function fileTypes(protoFile: string, keepCase: boolean, files: Map<string, ServiceTypes | string>) {
  const key = `${keepCase}:${protoFile}`
  const types = files.get(key) ?? read()
  files.set(key, types)
  return types

  function read(): ServiceTypes | string {
    try {
      return readProtoFile(protoFile, keepCase)
    } catch (error) {
      return `${protoFile} cannot be used (${(error as Error).message})`
    }
  }
}

/** Fields go by their JSON names (`productId`), unless the schema calls its own `product_id`. */
function namesFieldsAsInFile(schema: JsonSchema | undefined): boolean {
  return Object.keys((schema?.properties as object | undefined) ?? {}).some((name) => name.includes('_'))
}
