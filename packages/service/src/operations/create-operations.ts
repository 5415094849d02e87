import type { ServiceDocument } from '../document/service-document.ts'
import type { Operation } from '../operation.ts'
import { ServiceError } from '../service-error.ts'
import { createBusinessApi, type Handler } from './business-api.ts'
import { createEdgeController, type EdgeFunction } from './edge-controller.ts'
import type { OperationRuntime } from './operation-runtime.ts'

/** What a document cannot hold: the code, by the names that the document uses. */
export interface ServiceCode {
  /** Business APIs by `name`. */
  readonly handlers?: Readonly<Record<string, Handler>>
  /** Edge controllers by `functionName`. */
  readonly functions?: Readonly<Record<string, EdgeFunction>>
}

/** Brings document and code together. Throws ServiceError `invalid_service`, naming all that has no counterpart. */
export function createOperations(
  document: ServiceDocument,
  { handlers = {}, functions = {} }: ServiceCode,
  runtime: OperationRuntime,
): readonly Operation[] {
  const faults = [
    ...missing(
      'handlers',
      handlers,
      document.businessApis.map(({ name }) => name),
      'business API',
    ),
    ...missing(
      'functions',
      functions,
      document.edgeControllers.map(({ functionName }) => functionName),
      'edge controller',
    ),
  ]
  if (faults.length > 0) throw new ServiceError('invalid_service', faults.join('; '))
  return [
    ...document.businessApis.map((api) => createBusinessApi(api, handlers[api.name]!, runtime)),
    ...document.edgeControllers.map((edge) => createEdgeController(edge, functions[edge.functionName]!, runtime)),
  ]
}

function missing(option: string, given: object, names: readonly string[], what: string): string[] {
  const own = new Map(Object.entries(given))
  const without = names.filter((name) => typeof own.get(name) !== 'function')
  const unknown = [...own.keys()].filter((name) => !names.includes(name))
  return [
    ...without.map((name) => `${what} "${name}" has no code: give ${option}: { ${name}: async (...) => ... }`),
    ...unknown.map((name) => `${option}.${name} belongs to no ${what} of the document`),
  ]
}
