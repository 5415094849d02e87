import type { Caller } from '@countersign/guard'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { Authority } from '../authority.ts'
import { OAuthError } from '../token-endpoint/oauth-error.ts'

export interface RefusalRecording {
  authority: Authority
  addressOf: (request: FastifyRequest) => string
  /** Throws OAuthError 429 once an address has failed too often; what is beyond is counted, not written row by row */
  limits: { afterFailure(address: string): void | Promise<void> }
  /** Who was refused, where his token was good but not enough */
  callerOf: (request: FastifyRequest) => Caller | undefined
}

/** Writes down every 401 and 403 of the admin API before it is answered. */
export function recordRefusals(app: FastifyInstance, recording: RefusalRecording): void {
  const { authority, addressOf, limits, callerOf } = recording
  app.addHook('onSend', async (request, reply, payload) => {
    const { statusCode } = reply
    if (statusCode !== 401 && statusCode !== 403) return payload
    const address = addressOf(request)
    if (!(await isWithin(limits, address))) return payload
    const caller = callerOf(request)
    await authority.audit.record({
      type: 'admin.refused',
      outcome: 'failure',
      ...(caller && { client_id: caller.clientId, credential: caller.credentialId }),
      address,
      reason: reasonIn(payload),
      target: `${request.method} ${request.routeOptions.url ?? ''}`,
    })
    return payload
  })
}

async function isWithin(limits: RefusalRecording['limits'], address: string): Promise<boolean> {
  try {
    await limits.afterFailure(address)
    return true
  } catch (error) {
    if (error instanceof OAuthError) return false
    throw error
  }
}

/** The answer is one of our own problems: what it says is what happened. */
function reasonIn(payload: unknown): string {
  if (typeof payload !== 'string' && !Buffer.isBuffer(payload)) return 'refused'
  const { code, reason, detail } = JSON.parse(payload.toString()) as Record<string, string | undefined>
  return `${reason ?? code}: ${detail}`.slice(0, 500)
}
