import type { FastifyInstance } from 'fastify'
import { serializerCompiler } from 'fastify-type-provider-zod'
import { apiRoutes } from '../apis/routes.ts'
import { grantRoutes } from '../clients/grant-routes.ts'
import { clientRoutes } from '../clients/routes.ts'
import { secretRoutes } from '../clients/secret-routes.ts'
import type { AdminApp, AdminContext } from './admin-app.ts'
import { guardAdminApi, type RevokedTokens } from './admin-guard.ts'
import { parseStrictJson, validateWithZod } from './request-validation.ts'

export interface AdminApiOptions extends Omit<AdminContext, 'allowLoopbackJwksUri'> {
  revoked?: RevokedTokens
  allowLoopbackJwksUri?: boolean
}

/** The admin API: what it is made of, one line each. */
const resources = [apiRoutes, clientRoutes, secretRoutes, grantRoutes]

/** Register it under `/api/v1`. */
export async function adminApi(app: FastifyInstance, options: AdminApiOptions): Promise<void> {
  const context: AdminContext = { ...options, allowLoopbackJwksUri: options.allowLoopbackJwksUri ?? false }
  parseStrictJson(app)
  app.setValidatorCompiler(validateWithZod)
  app.setSerializerCompiler(serializerCompiler)
  app.addHook('onSend', async (_request, reply) => void reply.header('cache-control', 'no-store'))
  await guardAdminApi(app, options)
  for (const routes of resources) routes(app as unknown as AdminApp, context)
}
