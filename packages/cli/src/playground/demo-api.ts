import { createGuard, createRevocationFeed } from '@countersign/guard'
import { guardFastify } from '@countersign/guard/fastify'
import type { App } from '@countersign/server'

export const demoAudience = 'https://orders.example.com'
export const demoPath = '/demo/orders'
export const demoScopes = [
  { name: 'read:orders', description: 'Read orders' },
  { name: 'write:orders', description: 'Place orders' },
]

/**
 * An API such as a reader of the documentation would write: a guard, and per route the scope that it needs. It asks
 * nobody about a token but verifies it with the issuer's published keys, and follows what the issuer revokes.
 */
export async function demoApi(app: App, issuer: string, credential: { id: string; secret: string }): Promise<void> {
  const feed = createRevocationFeed({
    url: `${issuer}oauth/revocations`,
    authorization: () => `Basic ${Buffer.from(`${credential.id}:${credential.secret}`).toString('base64')}`,
  })
  // The issuer is this very server: there is nothing to follow before it listens.
  const guard = createGuard({ issuer, audience: demoAudience, revocations: { ...feed, start: () => {} } })
  app.addHook('onListen', () => feed.start())
  app.addHook('preClose', () => guard.close())
  await app.register(async (orders) => {
    await orders.register(guardFastify, { guard })
    orders.get(demoPath, { config: { scopes: ['read:orders'] } }, async (request) => ({
      orders: [
        { id: 'A-1001', product: 'lamp', quantity: 2 },
        { id: 'A-1002', product: 'desk', quantity: 1 },
      ],
      seen_by_the_api: { client: request.caller.clientId, scopes: request.caller.scopes },
    }))
    orders.post(demoPath, { config: { scopes: ['write:orders'] } }, async (_request, reply) =>
      reply.code(201).send({ id: 'A-1003' }),
    )
  })
}
