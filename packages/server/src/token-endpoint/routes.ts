import type { FindPeerCertificate } from '@countersign/guard'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { recordRefusal } from '../client-auth/record-refusal.ts'
import { oauthEndpoint } from '../http/oauth.ts'
import { issueToken, type TokenContext } from './issue-token.ts'

export interface TokenRoutesOptions {
  context: TokenContext
  addressOf: (request: FastifyRequest) => string
  certificateOf: FindPeerCertificate
  onOutcome: (outcome: string) => void
  assertionRefusalMilliseconds?: number | undefined
}

/** `POST /oauth/token` */
export function tokenRoutes(app: FastifyInstance, options: TokenRoutesOptions): void {
  const { context, addressOf, certificateOf, onOutcome, assertionRefusalMilliseconds } = options
  oauthEndpoint(app, {
    path: '/oauth/token',
    addressOf,
    certificateOf,
    admit: (address) => context.limits.beforeAuthentication(address),
    answer: async (request) => {
      const { token, headers } = await issueToken(request, context)
      return { body: token, headers, outcome: 'issued' }
    },
    onMalformed: (error, address) => recordRefusal(error, 'token.refused', { address }, undefined, context),
    onOutcome,
    assertionRefusalMilliseconds,
  })
}
