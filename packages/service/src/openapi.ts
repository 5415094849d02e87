import { serviceTokenHeaders } from '@countersign/tokens'
import { pathTemplate } from './description.ts'
import type { AuthOptions, JsonSchema } from './document/service-document.ts'
import type { Operation } from './operation.ts'
import type { ServiceSettings } from './settings/settings.ts'

export interface OpenApiOptions {
  readonly name: string
  readonly operations: readonly Operation[]
  readonly multiTenant: boolean
  readonly settings: ServiceSettings
}

/** OpenAPI 3.1 of the service's REST side; its schemas are those of the document, as they stand there. */
export function openApiOf(options: OpenApiOptions): object {
  const paths: Record<string, Record<string, object>> = {}
  const schemas: Record<string, object> = { Problem: problem }
  for (const operation of options.operations) {
    if (operation.rest === undefined) continue
    const place = schemaName(operation.name)
    const input = operation.input && (atPlace(operation.input, place) as JsonSchema)
    if (input !== undefined) schemas[place] = input
    const path = pathTemplate(operation.rest.path)
    paths[path] ??= {}
    paths[path][operation.rest.method.toLowerCase()] = describe({ ...operation, input }, operation.rest, options)
  }
  return {
    openapi: '3.1.0',
    info: { title: options.name, version: '1.0.0' },
    paths,
    components: { securitySchemes: securitySchemes(options.settings), schemas },
  }
}

function describe(operation: Operation, rest: { method: string; path: string }, options: OpenApiOptions): object {
  const { name, kind, authOptions, input } = operation
  const inPath = [...rest.path.matchAll(/:(\w+)/g)].map(([, parameter]) => parameter!)
  const inQuery =
    rest.method === 'GET' || rest.method === 'DELETE' ? namesOf(input).filter((each) => !inPath.includes(each)) : []
  const parameters = [
    ...inPath.map((each) => ({ name: each, in: 'path', required: true, schema: memberOf(input, each) })),
    ...inQuery.map((each) => ({
      name: each,
      in: 'query',
      required: isRequired(input, each),
      schema: memberOf(input, each),
    })),
    ...(options.multiTenant ? [{ name: options.settings.tenantHeader, in: 'header', schema: { type: 'string' } }] : []),
  ]
  const hasBody =
    kind === 'edgeController' ? rest.method !== 'GET' : input !== undefined && !['GET', 'DELETE'].includes(rest.method)
  return {
    // One edge function may stand behind several routes.
    operationId: kind === 'businessApi' ? name : `${name} ${rest.method} ${rest.path}`,
    summary: name,
    tags: [kind],
    security: securityOf(authOptions),
    ...(parameters.length > 0 && { parameters }),
    ...(hasBody && { requestBody: bodyOf(kind === 'edgeController' ? undefined : input, inPath) }),
    responses: {
      200: { description: 'What the operation gives', content: { 'application/json': { schema: {} } } },
      204: { description: 'Done, with nothing to tell' },
      default: {
        description: 'Refused or failed',
        content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } },
      },
    },
  }
}

function schemaName(operation: string): string {
  return `${operation}Input`
}

/** The schema with its own references leading to where it stands in this document. */
function atPlace(schema: unknown, place: string): unknown {
  if (Array.isArray(schema)) return schema.map((item) => atPlace(item, place))
  if (typeof schema !== 'object' || schema === null) return schema
  const members = Object.entries(schema).map(([name, value]) => {
    const isReference = name === '$ref' && typeof value === 'string' && value.startsWith('#')
    return [name, isReference ? `#/components/schemas/${place}${value.slice(1)}` : atPlace(value, place)]
  })
  return Object.fromEntries(members)
}

/** The decision table, as far as OpenAPI can say it. */
function securityOf({ M2MAllowed, loginRequired }: AuthOptions): object[] {
  const session = [{ session: [] }, { sessionCookie: [] }]
  return [...(M2MAllowed ? [{ serviceToken: [] }] : []), ...(loginRequired ? session : [])]
}

function securitySchemes({ sessionCookie }: ServiceSettings): object {
  return {
    serviceToken: {
      type: 'apiKey',
      in: 'header',
      name: serviceTokenHeaders[0],
      description: 'A JWT that the sender signs for exactly this request',
    },
    session: { type: 'http', scheme: 'bearer' },
    sessionCookie: { type: 'apiKey', in: 'cookie', name: sessionCookie },
  }
}

/** What the path holds is not in the body again. */
function bodyOf(input: JsonSchema | undefined, inPath: readonly string[]): object {
  if (input === undefined) return { content: { '*/*': { schema: {} } } }
  const names = namesOf(input).filter((name) => !inPath.includes(name))
  const required = names.filter((name) => isRequired(input, name))
  const { required: _, ...rest } = input
  const properties = Object.fromEntries(names.map((name) => [name, memberOf(input, name)]))
  const schema = {
    ...rest,
    ...(names.length > 0 && { properties }),
    ...(required.length > 0 && { required }),
  }
  return { required: required.length > 0, content: { 'application/json': { schema } } }
}

function namesOf(input: JsonSchema | undefined): string[] {
  return Object.keys((input?.properties as object | undefined) ?? {})
}

function memberOf(input: JsonSchema | undefined, name: string): unknown {
  const properties = (input?.properties ?? {}) as Record<string, unknown>
  return Object.hasOwn(properties, name) ? properties[name] : { type: 'string' }
}

function isRequired(input: JsonSchema | undefined, name: string): boolean {
  return Array.isArray(input?.required) && input.required.includes(name)
}

const problem = {
  type: 'object',
  description: 'RFC 9457',
  properties: {
    type: { type: 'string' },
    title: { type: 'string' },
    status: { type: 'integer' },
    detail: { type: 'string', description: 'A sentence that says what to do next' },
    code: { type: 'string', description: 'For programs: InvalidM2MToken, RequiresM2MToken, invalid_input, ...' },
    reason: { type: 'string', description: 'Which rule was broken' },
  },
  required: ['title', 'status', 'detail', 'code'],
}
