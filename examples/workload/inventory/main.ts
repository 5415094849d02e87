// The called service: HTTPS with its own SVID, for callers that show theirs. It was given no secret.
import type { AddressInfo } from 'node:net'
import { createClient } from '@countersign/client'
import { createGuard } from '@countersign/guard'
import { guardNode } from '@countersign/guard/node'
import { allowTrustDomain, createHttpsServer } from '@countersign/spiffe/tls'
import { createJwtSource, createX509Source } from '@countersign/spiffe/workload-api'

const issuer = process.env.ISSUER!
const identity = createX509Source()
await identity.ready

// Whose identity has ended, the authority says on its revocation feed; who asks for that proves itself by a JWT-SVID.
const machine = createClient({
  issuer,
  clientId: 'inventory',
  authMethod: 'spiffe_jwt',
  jwtSource: createJwtSource(),
})
const guard = createGuard({
  mtls: { bundles: identity.bundles, allow: { spiffeIds: ['spiffe://shop.example/order'] } },
  revocations: {
    url: `${issuer}oauth/revocations`,
    authorization: async () =>
      `Bearer ${(await machine.token({ audience: `${issuer}oauth/revocations` })).accessToken}`,
  },
  onRefusal: ({ error }) => say('refused', { code: error.code, why: (error.cause as Error | undefined)?.message }),
})

const handler = guardNode(guard, {}, (request, response) => {
  response.setHeader('content-type', 'application/json')
  response.end(JSON.stringify({ left: 3, seen: request.caller.spiffeId }))
})
// Whoever has an identity of the shop may connect; what he may do is for the guard to say.
const server = createHttpsServer(identity, allowTrustDomain('shop.example'), handler)
identity.onUpdate(() => say('rotated', { expiresAt: identity.svid().expiresAt }))
server.listen(0, '127.0.0.1', () => say('listening', { port: (server.address() as AddressInfo).port }))

function say(msg: string, more: object = {}): void {
  console.log(JSON.stringify({ msg, ...more }))
}
