import type { FastifyInstance, FastifyRequest } from 'fastify'
import { serializerCompiler } from 'fastify-type-provider-zod'
import { apiRoutes } from '../apis/routes.ts'
import { auditRoutes } from '../audit/routes.ts'
import { certificateAuthorityRoutes } from '../certificate-authorities/routes.ts'
import { certificateRoutes } from '../certificates/routes.ts'
import { grantRoutes } from '../clients/grant-routes.ts'
import { keyRoutes } from '../clients/key-routes.ts'
import { clientRoutes } from '../clients/routes.ts'
import { secretRoutes } from '../clients/secret-routes.ts'
import { endpointUrl } from '../http/discovery.ts'
import { Problem } from '../http/problem.ts'
import { joinTokenRoutes } from '../nodes/join-token-routes.ts'
import { nodeRoutes } from '../nodes/routes.ts'
import { entryRoutes } from '../registration-entries/routes.ts'
import { revocationAdminRoutes } from '../revocation/admin-routes.ts'
import { serviceRoutes } from '../services/routes.ts'
import { signingKeyRoutes } from '../signing-keys/routes.ts'
import { trustBundleRoutes } from '../trust-bundles/routes.ts'
import { workloadIdentityOf } from '../workload-identity.ts'
import type { AdminApp, AdminContext } from './admin-app.ts'
import { type AdminGuardOptions, guardAdminApi } from './admin-guard.ts'
import { docsPage, docsPolicy } from './docs-page.ts'
import { isOneLine } from './fields.ts'
import { describeRoutes, type OpenApiDocument, openApiDocument } from './openapi.ts'
import { parseStrictJson, validateWithZod } from './request-validation.ts'

export interface AdminApiOptions extends AdminGuardOptions {
  /** For development: clients may publish their keys over plain http on this machine */
  allowLoopbackJwksUri?: boolean | undefined
}

/** The admin API: what it is made of, one line each. */
const resources = [
  apiRoutes,
  clientRoutes,
  secretRoutes,
  keyRoutes,
  grantRoutes,
  serviceRoutes,
  signingKeyRoutes,
  revocationAdminRoutes,
  auditRoutes,
]

/** What only a server with a trust domain has. */
const workloadIdentityResources = [
  certificateAuthorityRoutes,
  trustBundleRoutes,
  certificateRoutes,
  entryRoutes,
  nodeRoutes,
  joinTokenRoutes,
]

/** Register it under `/api/v1`. */
export async function adminApi(app: FastifyInstance, options: AdminApiOptions): Promise<void> {
  const { authority, allowLoopbackJwksUri = false } = options
  const context: AdminContext = { authority, allowLoopbackJwksUri }
  parseStrictJson(app)
  app.setValidatorCompiler(validateWithZod)
  app.setSerializerCompiler(serializerCompiler)
  app.addHook('onSend', async (_request, reply) => void reply.header('cache-control', 'no-store'))
  await describeRoutes(app, endpointUrl(authority.issuer, '/oauth/token'))
  documentRoutes(app)
  await app.register(async (guarded) => {
    await guardAdminApi(guarded, options)
    guarded.addHook('preValidation', refuseUnstorablePaths)
    for (const routes of resources) routes(guarded as unknown as AdminApp, context)
    await guarded.register(async (identities) => {
      identities.addHook('onRoute', (route) => {
        route.config = { ...route.config, needsTrustDomain: true }
      })
      identities.addHook('preValidation', async () => void workloadIdentityOf(authority))
      for (const routes of workloadIdentityResources) routes(identities as unknown as AdminApp, context)
    })
  })
}

/** Nothing is called by what no database holds, such as a NUL: PostgreSQL would not even look for it. */
async function refuseUnstorablePaths({ params, method }: FastifyRequest): Promise<void> {
  // What would be made under a wrong name is for its noun to refuse.
  if (method === 'PUT') return
  if (Object.values(params as Record<string, string>).every(isOneLine)) return
  throw new Problem(404, 'not_found', 'there is nothing of this name: it holds control characters')
}

/** What the API is, for programs and for people; open to anybody. */
function documentRoutes(app: FastifyInstance): void {
  let document: OpenApiDocument | undefined
  let page: string | undefined
  const described = () => {
    document ??= openApiDocument(app)
    return document
  }
  // Hidden from the document that they show.
  const schema = { hide: true } as object
  app.get('/openapi.json', { schema }, async (_request, reply) =>
    reply.type('application/json').send(JSON.stringify(described())),
  )
  app.get('/docs', { schema }, async (_request, reply) => {
    page ??= docsPage(described())
    return reply
      .headers({
        'content-security-policy': docsPolicy,
        'x-content-type-options': 'nosniff',
        'referrer-policy': 'no-referrer',
      })
      .type('text/html; charset=utf-8')
      .send(page)
  })
}
