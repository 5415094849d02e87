/** The audience of access tokens for the admin API, which is an API like any other. */
export const adminAudience = 'urn:countersign:admin'

export const adminScopes = [
  { name: 'apis:read', description: 'See APIs and their scopes' },
  { name: 'apis:write', description: 'Create, change and delete APIs' },
  { name: 'clients:read', description: 'See clients, their credentials and grants' },
  { name: 'clients:write', description: 'Create, change and delete clients, credentials and grants; revoke tokens' },
  { name: 'keys:read', description: 'See the signing keys' },
  { name: 'keys:write', description: 'Rotate and revoke signing keys' },
  { name: 'audit:read', description: 'Read and stream audit events' },
  { name: 'audit:write', description: 'Report refusals as audit events' },
  { name: 'services:read', description: 'See registered services' },
  { name: 'services:write', description: 'Register, change and remove services' },
  { name: 'entries:read', description: 'See registration entries' },
  { name: 'entries:write', description: 'Create, change and delete registration entries' },
  { name: 'nodes:read', description: 'See nodes and join tokens' },
  { name: 'nodes:write', description: 'Make join tokens; ban and evict nodes' },
  { name: 'certificate_authorities:read', description: "See the trust domain's certificate authorities" },
  { name: 'certificate_authorities:write', description: 'Prepare, activate and revoke certificate authorities' },
  { name: 'trust_bundles:read', description: 'See the bundles of this and other trust domains' },
  { name: 'trust_bundles:write', description: 'Set what is trusted for other trust domains' },
  { name: 'certificates:write', description: 'Have plain server and client certificates issued' },
] as const

export type AdminScope = (typeof adminScopes)[number]['name']

export const adminScopeNames: readonly AdminScope[] = adminScopes.map(({ name }) => name)
