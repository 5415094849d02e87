import { parseScope } from '@countersign/tokens'
import type { ClientRecord, GrantRecord } from '../clients/client.ts'
import { type Form, parameter } from '../token-endpoint/form.ts'
import { OAuthError } from '../token-endpoint/oauth-error.ts'
import type { GrantType } from './grant-type.ts'

/** RFC 6749 section 4.4: the client asks for itself. */
export const clientCredentials: GrantType = {
  name: 'client_credentials',
  decide(form, { client }) {
    const grant = targetOf(form, client)
    return {
      audience: grant.audience,
      scopes: scopesOf(form, grant),
      subject: client.id,
      signingAlgorithm: grant.signingAlgorithm,
      lifetimeSeconds: grant.tokenLifetimeSeconds,
    }
  },
}

function targetOf(form: Form, client: ClientRecord): GrantRecord {
  for (const resource of form.get('resource') ?? []) {
    if (!isResourceUri(resource)) {
      throw new OAuthError('invalid_target', 'resource must be an absolute URI without a fragment')
    }
  }
  const named = new Set([...(form.get('audience') ?? []), ...(form.get('resource') ?? [])])
  if (named.size > 1) throw new OAuthError('invalid_target', 'one token is for one API: name one audience or resource')
  const [audience = client.defaultAudience] = named
  if (audience !== undefined) {
    const grant = client.grants.get(audience)
    // The same answer for an API that does not exist and one that is not for this client.
    if (!grant) {
      throw new OAuthError('invalid_target', 'this client has no grant for the API asked for', {
        reason: `client "${client.id}" has no grant for ${audience.slice(0, 200)}; grant it with: countersign client grant ${client.id} --api ${audience.slice(0, 200)} --scope ...`,
      })
    }
    return grant
  }
  const [only, another] = client.grants.values()
  if (!only) throw new OAuthError('invalid_target', 'this client has no grant for any API')
  if (another) throw new OAuthError('invalid_target', 'this client has grants for several APIs: name one as audience')
  return only
}

function scopesOf(form: Form, grant: GrantRecord): readonly string[] {
  const asked = parameter(form, 'scope')
  if (asked === undefined) return grant.scopes
  const scopes = parse(asked)
  const missing = scopes.filter((scope) => !grant.scopes.includes(scope))
  if (missing.length > 0) {
    throw new OAuthError('invalid_scope', `not granted for this API: ${missing.join(' ').slice(0, 200)}`)
  }
  return scopes
}

function parse(text: string): string[] {
  try {
    return parseScope(text)
  } catch {
    throw new OAuthError('invalid_scope', 'scope is a list of names separated by single spaces, without quotes')
  }
}

/** RFC 8707 section 2. */
function isResourceUri(text: string): boolean {
  return /^[A-Za-z][A-Za-z0-9+.-]*:[^\s#]+$/.test(text)
}
