import { z } from 'zod'
import type { AdminApp, AdminContext } from '../admin/admin-app.ts'
import { actorOf, requireHeldOfClient } from '../admin/administrator.ts'
import { exactly, line, time, toTime } from '../admin/fields.ts'
import { invalid } from '../admin/request-validation.ts'
import { audience } from '../apis/api.ts'
import { findClient } from '../clients/find-client.ts'
import { longestTokenLifetimeSeconds } from '../signing-keys/lifecycle.ts'
import { revokeClientTokens, revokeToken } from './revoke.ts'

const newRevocation = exactly({
  jti: line(256).optional().meta({ description: 'One token' }),
  exp: z.int().min(1).max(253_402_300_799).optional().meta({ description: 'Its `exp`, where known' }),
  audience: audience.optional().meta({ description: 'Its `aud`, where known: only that API is told' }),
  client_id: z.string().max(128).optional().meta({ description: 'All tokens that this client was issued until now' }),
})

const revocation = z.object({
  jti: z.string().optional(),
  audience: z.string().optional(),
  client_id: z.string().optional(),
  before: time.optional(),
})

export function revocationAdminRoutes(app: AdminApp, { authority }: AdminContext): void {
  app.post(
    '/revocations',
    {
      config: { anyScope: ['clients:write', 'keys:write'] },
      schema: {
        tags: ['Revocations'],
        summary: 'Revoke a token, or all of a client',
        body: newRevocation,
        response: { 201: revocation },
      },
    },
    async ({ body: { jti, exp, audience, client_id }, administrator }, reply) => {
      if ((jti === undefined) === (client_id === undefined)) {
        throw invalid([{ path: '', message: 'give either jti or client_id' }])
      }
      const actor = actorOf(administrator)
      if (client_id !== undefined) {
        if (exp !== undefined || audience !== undefined) {
          throw invalid([{ path: '', message: 'exp and audience go with jti' }])
        }
        await findClient(authority.store.database, client_id)
        await requireHeldOfClient(authority.store.database, client_id, administrator)
        await revokeClientTokens(client_id, authority, actor)
        await authority.feed.catchUp()
        return reply.code(201).send({ client_id, before: toTime(authority.now()) })
      }
      const latest = authority.now() + longestTokenLifetimeSeconds + 3600
      const expiresAt = exp === undefined ? latest : Math.min(exp, latest)
      await revokeToken({ jti: jti as string, expiresAt, ...(audience && { audience }) }, authority, actor)
      await authority.feed.catchUp()
      return reply.code(201).send({ jti, audience })
    },
  )
}
