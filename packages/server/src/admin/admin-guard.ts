import { createGuard, GuardError, type RevocableToken } from '@countersign/guard'
import { guardFastify } from '@countersign/guard/fastify'
import { importPublicJwk, selectKey, type VerificationKey } from '@countersign/tokens'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { Authority } from '../authority.ts'
import { adminAudience } from './admin-scopes.ts'
import type { Administrator } from './administrator.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** Who calls the admin API, and what he holds at this moment. `null` on routes that need no token. */
    administrator: Administrator
  }
}

/** Knows which tokens were revoked before their time. */
export interface RevokedTokens {
  isRevoked(token: RevocableToken): boolean
}

export interface AdminGuardOptions {
  authority: Authority
  addressOf: (request: FastifyRequest) => string
  revoked?: RevokedTokens
}

/**
 * Puts the admin API behind our own guard. Beyond what any API's guard sees, this one sits beside the store: a client
 * that was disabled or deleted, or lost a grant, is refused with the next request and not with the next token.
 */
export async function guardAdminApi(app: FastifyInstance, options: AdminGuardOptions): Promise<void> {
  const { authority, addressOf, revoked } = options
  const guard = createGuard({
    issuer: { issuer: authority.issuer, jwks: keysInProcess(authority) },
    audience: adminAudience,
    leewaySeconds: 0,
    // Each request is checked whole: few come, and what they may do weighs much.
    tokenCacheSize: 0,
    now: () => authority.now() * 1000,
    ...(revoked && {
      revocations: { isRevoked: (token) => revoked.isRevoked(token), start() {}, async stop() {} },
    }),
  })
  app.addHook('onClose', () => guard.close())
  app.decorateRequest('administrator', null as unknown as Administrator)
  await app.register(guardFastify, { guard })
  app.addHook('onRequest', async (request, reply) => {
    if (!request.caller) return
    try {
      request.administrator = await administratorOf(request, authority, addressOf)
    } catch (error) {
      if (!(error instanceof GuardError)) throw error
      return reply
        .code(error.status)
        .headers(error.headers())
        .send(Buffer.from(JSON.stringify(error.toProblem())))
    }
  })
}

/** What the token says he may, as far as it is still granted. */
async function administratorOf(
  request: FastifyRequest,
  authority: Authority,
  addressOf: (request: FastifyRequest) => string,
): Promise<Administrator> {
  const { clientId, scopes, credentialId } = request.caller
  const required = request.routeOptions.config.scopes ?? []
  const anyOf = request.routeOptions.config.anyScope ?? []
  const client = await authority.clients.find(clientId)
  if (!client || client.disabled) {
    throw new GuardError({
      code: 'invalid_token',
      reason: 'revoked_token',
      message: 'The client of this access token was disabled or deleted.',
      realm: adminAudience,
      scopes: required,
    })
  }
  const granted = client.grants.get(adminAudience)?.scopes ?? []
  const holds = scopes.filter((scope) => granted.includes(scope))
  const lacking = required.filter((scope) => !holds.includes(scope))
  if (lacking.length > 0 || (anyOf.length > 0 && !anyOf.some((scope) => holds.includes(scope)))) {
    const needed = lacking.length > 0 ? lacking : anyOf
    throw new GuardError({
      code: 'insufficient_scope',
      reason: 'insufficient_scope',
      message: `The client no longer has the grant that is needed here: ${needed.join(' ')}`,
      realm: adminAudience,
      scopes: needed,
    })
  }
  return { client_id: clientId, address: addressOf(request), credential: credentialId, holds }
}

/** The server's own keys, straight from memory: a key that leaves the ring verifies nothing from then on. */
function keysInProcess({ keyRing }: Authority) {
  let version = -1
  let keys: readonly VerificationKey[] = []
  const keyForSync = (header: { kid?: string; alg: string }): VerificationKey | undefined => {
    if (version !== keyRing.version) {
      keys = keyRing.published.map(({ publicJwk }) => importPublicJwk(publicJwk))
      version = keyRing.version
    }
    return selectKey(keys, header)
  }
  return { keyForSync, keyFor: async (header: { kid?: string; alg: string }) => keyForSync(header) }
}
