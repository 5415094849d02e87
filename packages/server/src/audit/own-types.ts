/** Nouns of the events that the server writes itself: nobody else may tell of them. */
const ownNouns = new Set([
  'admin',
  'api',
  'audit',
  'ca',
  'certificate',
  'client',
  'client_auth',
  'client_tokens',
  'entry',
  'grant',
  'introspection',
  'join_token',
  'key',
  'node',
  'rate_limit',
  'replica',
  'revocation',
  'revocation_feed',
  'role',
  'secret',
  'server',
  'service',
  'signing_key',
  'store',
  'svid',
  'token',
  'trust_bundle',
])

/** @param type of an audit event, `noun.verb` */
export function isOwnType(type: string): boolean {
  return ownNouns.has(type.split('.', 1)[0] as string)
}
