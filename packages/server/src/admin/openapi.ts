import swagger from '@fastify/swagger'
import type { FastifyInstance } from 'fastify'
import { jsonSchemaTransform } from 'fastify-type-provider-zod'
import { adminAudience, adminScopes } from './admin-scopes.ts'

/** What is read of an OpenAPI 3.1 document, here and by the docs page. */
export interface OpenApiDocument {
  info: { title: string; description?: string; version: string }
  paths: Record<string, Record<string, OpenApiOperation>>
  components?: Record<string, unknown>
}

export interface OpenApiOperation {
  tags?: string[]
  summary?: string
  description?: string
  security?: Record<string, string[]>[]
  parameters?: { name: string; in: string; required?: boolean; description?: string; schema: JsonSchema }[]
  requestBody?: { content: Record<string, { schema: JsonSchema }> }
  responses: Record<string, { description?: string; content?: Record<string, { schema: JsonSchema }>; $ref?: string }>
  [needsTrustDomainMark]?: boolean
}

export interface JsonSchema {
  type?: string | string[]
  description?: string
  enum?: unknown[]
  const?: unknown
  default?: unknown
  format?: string
  minLength?: number
  maxLength?: number
  minimum?: number
  maximum?: number
  maxItems?: number
  items?: JsonSchema
  properties?: Record<string, JsonSchema>
  required?: string[]
  anyOf?: JsonSchema[]
  oneOf?: JsonSchema[]
}

/** Carries the route's config to the finished document, which does not show it. */
const needsTrustDomainMark = 'x-needs-trust-domain'

/** Has every route that follows described by the very schemas that check it. */
export async function describeRoutes(app: FastifyInstance, tokenEndpoint: string): Promise<void> {
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Countersign admin API',
        description:
          'APIs, clients, their credentials and grants, services, signing keys and the audit log. Times are RFC 3339 in UTC, ' +
          'durations whole seconds. Lists are paged by `cursor`. Errors are RFC 9457 problems with a `code`.',
        version: '1',
      },
      components: {
        securitySchemes: {
          admin: {
            type: 'oauth2',
            description: `An access token for the audience ${adminAudience}`,
            flows: {
              clientCredentials: {
                tokenUrl: tokenEndpoint,
                scopes: Object.fromEntries(adminScopes.map(({ name, description }) => [name, description])),
              },
            },
          },
        },
      },
    },
    transform: (input) => {
      const { schema, url } = jsonSchemaTransform(input as Parameters<typeof jsonSchemaTransform>[0])
      const { scopes, anyScope, needsTrustDomain } = input.route.config ?? {}
      const alternatives = anyScope?.map((scope) => [scope]) ?? (scopes ? [[...scopes]] : [])
      const security = alternatives.map((admin) => ({ admin }))
      return { url, schema: { ...schema, security, ...(needsTrustDomain && { [needsTrustDomainMark]: true }) } }
    },
  })
}

/** The finished document. */
export function openApiDocument(app: FastifyInstance): OpenApiDocument {
  const document = structuredClone(app.swagger()) as unknown as OpenApiDocument
  for (const operations of Object.values(document.paths)) {
    for (const [method, operation] of Object.entries(operations)) addAnswers(method, operation)
  }
  document.components = { ...document.components, responses: { Problem: problemResponse } }
  return document
}

/** The answers that come from the guard, the validation and the rules rather than from the route's own schema. */
function addAnswers(method: string, operation: OpenApiOperation): void {
  if (method === 'delete') operation.responses = { 204: { description: 'Done' } }
  for (const response of Object.values(operation.responses)) {
    if (response.description === 'Default Response') response.description = 'Done'
  }
  const hasInput = operation.requestBody !== undefined || operation.parameters !== undefined
  const always = ['400', '401', '403', '429', '503']
  // A body is read, and can be refused, also where none is asked for.
  const changing = method === 'get' ? [] : ['409', '413', '415']
  const needing = operation[needsTrustDomainMark] ? ['409'] : []
  delete operation[needsTrustDomainMark]
  const statuses = [...always, ...(hasInput ? ['404', '422'] : []), ...changing, ...needing]
  for (const status of statuses) operation.responses[status] ??= { $ref: '#/components/responses/Problem' }
}

const problemResponse = {
  description: 'Refused; `code` and `detail` say why (RFC 9457)',
  content: {
    'application/problem+json': {
      schema: {
        type: 'object',
        required: ['title', 'status', 'code', 'detail'],
        properties: {
          type: { type: 'string' },
          title: { type: 'string' },
          status: { type: 'integer' },
          code: { type: 'string' },
          detail: { type: 'string' },
          errors: {
            type: 'array',
            items: {
              type: 'object',
              required: ['path', 'message'],
              properties: { path: { type: 'string' }, message: { type: 'string' } },
            },
          },
        },
      },
    },
  },
}
