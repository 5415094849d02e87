import { type Caller, type CertificateProxyOptions, createGuard, GuardError } from '@countersign/guard'
import { guardFastify } from '@countersign/guard/fastify'
import { importPublicJwk, selectKey, type VerificationKey } from '@countersign/tokens'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { Authority } from '../authority.ts'
import { adminAudience } from './admin-scopes.ts'
import type { Administrator } from './administrator.ts'
import { recordRefusals } from './record-refusals.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** Who calls the admin API, and what he holds at this moment. `null` on routes that need no token. */
    administrator: Administrator
    /** For answers that take long: whether the caller would still be let in. */
    isStillAdmitted(): Promise<boolean>
  }
}

export interface AdminGuardOptions {
  authority: Authority
  addressOf: (request: FastifyRequest) => string
  /** Whose header tells of the client's certificate, which a token may be bound to */
  certificateProxy?: CertificateProxyOptions | undefined
  limits: { afterFailure(address: string): void | Promise<void> }
}

/**
 * Puts the admin API behind our own guard. Beyond what any API's guard sees, this one sits beside the store: a token
 * that was revoked, a client that was disabled or deleted, and a grant that was taken away end with the next request.
 */
export async function guardAdminApi(app: FastifyInstance, options: AdminGuardOptions): Promise<void> {
  const { authority, addressOf } = options
  const refused = new WeakMap<object, Caller>()
  const guard = createGuard({
    issuer: { issuer: authority.issuer, jwks: keysInProcess(authority) },
    audience: adminAudience,
    leewaySeconds: 0,
    // Each request is checked whole: few come, and what they may do weighs much.
    tokenCacheSize: 0,
    ...(options.certificateProxy && { certificateProxy: options.certificateProxy }),
    now: () => authority.now() * 1000,
    onRefusal: ({ caller, request }) => void (caller && request && refused.set(request, caller)),
  })
  app.addHook('onClose', () => guard.close())
  app.decorateRequest('administrator', null as unknown as Administrator)
  app.decorateRequest('isStillAdmitted', async function (this: FastifyRequest) {
    try {
      await guard.verify(this.raw, requirementOf(this))
      await administratorOf(this, authority, addressOf)
      return true
    } catch {
      return false
    }
  })
  recordRefusals(app, { ...options, callerOf: (request) => request.caller ?? refused.get(request.raw) })
  await app.register(guardFastify, { guard })
  app.addHook('onRequest', async (request, reply) => {
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

/**
 * What the token says he may, as far as it is still granted.
 * @throws GuardError `invalid_token`, `insufficient_scope`; StoreError `unavailable`
 */
async function administratorOf(
  request: FastifyRequest,
  authority: Authority,
  addressOf: (request: FastifyRequest) => string,
): Promise<Administrator> {
  const { clientId, scopes, credentialId, claims, tokenId = '' } = request.caller
  const token = { jti: tokenId, client_id: clientId, iat: claims.iat as number, kid: credentialId }
  if (await authority.revocations.isRevokedInStore(token)) {
    throw refusal('invalid_token', 'revoked_token', 'The access token was revoked; get a new one.', [])
  }
  const client = await authority.clients.find(clientId)
  if (!client || client.disabled) {
    throw refusal('invalid_token', 'revoked_token', 'The client of this access token was disabled or deleted.', [])
  }
  const granted = client.grants.get(adminAudience)?.scopes ?? []
  const holds = scopes.filter((scope) => granted.includes(scope))
  const { scopes: all, anyScope: some } = requirementOf(request)
  const lacking = all.filter((scope) => !holds.includes(scope))
  if (some && !some.some((scope) => holds.includes(scope))) lacking.push(...some)
  if (lacking.length > 0) {
    const message = `The client no longer has the grant that is needed here: ${lacking.join(' ')}`
    throw refusal('insufficient_scope', 'insufficient_scope', message, lacking)
  }
  return { client_id: clientId, address: addressOf(request), credential: credentialId, holds }
}

function requirementOf({ routeOptions: { config } }: FastifyRequest) {
  return { scopes: [...(config.scopes ?? [])], ...(config.anyScope && { anyScope: config.anyScope }) }
}

function refusal(
  code: 'invalid_token' | 'insufficient_scope',
  reason: string,
  message: string,
  scopes: readonly string[],
): GuardError {
  return new GuardError({ code, reason, message, realm: adminAudience, scopes })
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
