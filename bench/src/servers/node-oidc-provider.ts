// The well-known library for Node, set up for the same work: a client secret in, an ES256 JWT out. It stores nothing
// durably and audits nothing.
import { generateKeyPairSync } from 'node:crypto'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
// @ts-expect-error the package has no types of its own
import Provider from 'oidc-provider'

const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const audience = 'https://api.example.com'
console.warn = () => {}
console.info = () => {}
const provider = new Provider('http://localhost/', {
  clients: [
    {
      client_id: 'bench',
      client_secret: 'a-secret-as-long-as-the-one-of-the-others-0123456789',
      grant_types: ['client_credentials'],
      redirect_uris: [],
      response_types: [],
      token_endpoint_auth_method: 'client_secret_post',
      id_token_signed_response_alg: 'ES256',
    },
  ],
  jwks: { keys: [{ ...privateKey.export({ format: 'jwk' }), alg: 'ES256', use: 'sig', kid: 'bench' }] },
  scopes: ['read:things'],
  features: {
    clientCredentials: { enabled: true },
    devInteractions: { enabled: false },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => audience,
      getResourceServerInfo: () => ({
        scope: 'read:things',
        audience,
        accessTokenTTL: 3600,
        accessTokenFormat: 'jwt',
        jwt: { sign: { alg: 'ES256' } },
      }),
    },
  },
})
const server = createServer(provider.callback())
server.listen(0, '127.0.0.1', () => {
  const { port } = server.address() as AddressInfo
  const body =
    'grant_type=client_credentials&client_id=bench&client_secret=a-secret-as-long-as-the-one-of-the-others-0123456789&scope=read%3Athings'
  console.log(JSON.stringify({ port, path: '/token', body }))
})
process.on('SIGTERM', () => process.exit(0))
