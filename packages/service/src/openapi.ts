import { pathTemplate } from './description.ts'
import type { ServiceOptions } from './document/service-document.ts'
import type { Operation } from './operation.ts'

/** OpenAPI 3.1 of the service's REST side. */
export function openApiOf(name: string, operations: readonly Operation[], _options: ServiceOptions): object {
  const paths: Record<string, Record<string, object>> = {}
  for (const operation of operations) {
    if (operation.rest === undefined) continue
    const path = pathTemplate(operation.rest.path)
    paths[path] = {
      ...paths[path],
      [operation.rest.method.toLowerCase()]: {
        operationId: operation.name,
        responses: { 200: { description: 'Done' } },
      },
    }
  }
  return { openapi: '3.1.0', info: { title: name, version: '1' }, paths }
}
