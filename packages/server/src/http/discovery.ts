import type { FastifyInstance } from 'fastify'
import type { Authority } from '../authority.ts'
import { clientAuthMethods } from '../client-auth/client-auth-methods.ts'
import { assertionAlgorithms } from '../client-auth/private-key-jwt.ts'
import { grantTypes } from '../grants/grant-types.ts'
import type { MtlsOptions } from './app.ts'
import { createKeySet, sendKeySet } from './key-set.ts'

/** What anybody may know: the metadata (RFC 8414) and the public keys (RFC 7517). */
export function discoveryRoutes(app: FastifyInstance, authority: Authority, mtls?: MtlsOptions): void {
  for (const path of metadataPaths(authority.issuer)) {
    app.get(path, async (_request, reply) =>
      reply.header('cache-control', 'public, max-age=300').send(serverMetadata(authority, mtls)),
    )
  }

  let set = keySet(authority)
  app.get('/.well-known/jwks.json', async (request, reply) => {
    if (set.version !== authority.keyRing.version) set = keySet(authority)
    return sendKeySet(request, reply, set)
  })
}

/** Endpoints stand below the issuer, whether or not it ends in a slash. */
export function endpointUrl(issuer: string, path: string): string {
  return `${issuer.replace(/\/$/, '')}${path}`
}

function serverMetadata({ issuer, workloadIdentity }: Authority, mtls: MtlsOptions | undefined) {
  const authMethods = clientAuthMethods
    .map(({ name }) => name)
    .filter((name) => mtls !== undefined || !certificateMethods.has(name))
    .filter((name) => workloadIdentity !== undefined || !name.startsWith('spiffe_'))
  const aliases = mtls?.baseUrl?.()
  return {
    issuer,
    token_endpoint: endpointUrl(issuer, '/oauth/token'),
    jwks_uri: endpointUrl(issuer, '/.well-known/jwks.json'),
    introspection_endpoint: endpointUrl(issuer, '/oauth/introspect'),
    revocation_endpoint: endpointUrl(issuer, '/oauth/revoke'),
    revocation_feed_endpoint: endpointUrl(issuer, '/oauth/revocations'),
    grant_types_supported: grantTypes.map(({ name }) => name),
    response_types_supported: [],
    token_endpoint_auth_methods_supported: authMethods,
    token_endpoint_auth_signing_alg_values_supported: assertionAlgorithms,
    introspection_endpoint_auth_methods_supported: authMethods,
    introspection_endpoint_auth_signing_alg_values_supported: assertionAlgorithms,
    revocation_endpoint_auth_methods_supported: authMethods,
    revocation_endpoint_auth_signing_alg_values_supported: assertionAlgorithms,
    ...(mtls && { tls_client_certificate_bound_access_tokens: true }),
    ...(aliases !== undefined && { mtls_endpoint_aliases: endpointAliases(aliases) }),
  }
}

const certificateMethods = new Set(['tls_client_auth', 'self_signed_tls_client_auth', 'spiffe_x509'])

/** RFC 8705 section 5: where clients come with a certificate. */
function endpointAliases(baseUrl: string): Record<string, string> {
  return {
    token_endpoint: endpointUrl(baseUrl, '/oauth/token'),
    introspection_endpoint: endpointUrl(baseUrl, '/oauth/introspect'),
    revocation_endpoint: endpointUrl(baseUrl, '/oauth/revoke'),
    revocation_feed_endpoint: endpointUrl(baseUrl, '/oauth/revocations'),
  }
}

/** RFC 8414 section 3.1 puts the issuer's path after the well-known part; a proxy that strips it asks without. */
function metadataPaths(issuer: string): Set<string> {
  const path = new URL(issuer).pathname.replace(/\/$/, '')
  const names = ['oauth-authorization-server', 'openid-configuration']
  return new Set(
    names.flatMap((name) => [`/.well-known/${name}`, `/.well-known/${name}${path}`, `${path}/.well-known/${name}`]),
  )
}

function keySet({ keyRing }: Authority) {
  return { version: keyRing.version, ...createKeySet(keyRing.published.map(({ publicJwk }) => publicJwk)) }
}
