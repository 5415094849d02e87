import type { FastifyInstance } from 'fastify'
import type { Authority } from '../authority.ts'
import { sendKeySet } from '../http/key-set.ts'
import { Problem } from '../http/problem.ts'
import { nameOfIssuer, parseServiceName } from './service-name.ts'

/** The public keys of a registered service, for whoever verifies its tokens. */
export function serviceKeySetRoute(
  app: FastifyInstance,
  { services, issuer }: Pick<Authority, 'services' | 'issuer'>,
): void {
  const issuerName = nameOfIssuer(issuer)
  app.get<{ Params: { service: string } }>('/:service/.well-known/jwks.json', async (request, reply) => {
    const name = parseServiceName(request.params.service)
    const set = name === undefined || name === issuerName ? undefined : await services.find(name)
    if (set) return sendKeySet(request, reply, set)
    // It may be registered the next moment.
    reply.header('cache-control', 'no-store')
    throw new Problem(
      404,
      'not_found',
      'no service of this name is registered; register it with: countersign service register NAME --jwk FILE',
    )
  })
}
