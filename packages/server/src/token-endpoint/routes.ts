import type { FastifyInstance } from 'fastify'
import { recordRefusal } from '../client-auth/record-refusal.ts'
import { type OAuthRoutesOptions, oauthEndpoint } from '../http/oauth.ts'
import { issueToken, type TokenContext } from './issue-token.ts'

/** `POST /oauth/token` */
export function tokenRoutes(app: FastifyInstance, options: OAuthRoutesOptions<TokenContext>): void {
  const { context } = options
  oauthEndpoint(app, {
    ...options,
    path: '/oauth/token',
    admit: (address) => context.limits.beforeAuthentication(address),
    answer: async (request) => {
      const { token, headers } = await issueToken(request, context)
      return { body: token, headers, outcome: 'issued' }
    },
    onMalformed: (error, address) => recordRefusal(error, 'token.refused', { address }, undefined, context),
  })
}
