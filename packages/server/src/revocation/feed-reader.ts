import { adminAudience } from '../admin/admin-scopes.ts'
import { authenticateClient } from '../client-auth/authenticate-client.ts'
import type { ClientAuthContext, ClientRequest } from '../client-auth/client-auth-method.ts'
import { introspect, type OwnToken, type OwnTokenContext, readOwnToken } from '../introspection/introspect.ts'
import type { Store } from '../storage/store.ts'
import { OAuthError } from '../token-endpoint/oauth-error.ts'
import type { FeedReader } from './feed.ts'

export type FeedReaderContext = ClientAuthContext & OwnTokenContext

/** Who reads, and what; `again` says whether and what it still may, for a stream that lasts. */
export interface AuthenticatedReader extends FeedReader {
  clientId: string
  method: string
  /** Id of the secret, or kid of the key that signed the token */
  credentialId: string
  again: () => Promise<AuthenticatedReader | undefined>
}

/** With one of these an administrator's token reads every API's revocations. */
const readAllScopes = ['audit:read', 'clients:read']

/**
 * Who may read the feed: a client bound to an API (named in its `introspectors`) that API's revocations and those that
 * concern all, an administrator everything. By Basic, or by a Bearer access token of ours.
 * @throws ClientAuthFailure, OAuthError `invalid_token`, `insufficient_scope`, `unauthorized_client`
 */
export async function authenticateReader(
  request: Pick<ClientRequest, 'authorization' | 'address' | 'certificate'>,
  context: FeedReaderContext,
): Promise<AuthenticatedReader> {
  const bearer = /^bearer +([A-Za-z0-9._~+/-]+=*)$/i.exec(request.authorization ?? '')?.[1]
  if (bearer !== undefined) return readerByToken(bearer, request.certificate, context)
  const { client, credentialId } = await authenticateClient({ form: new Map(), ...request }, context)
  return readerByClient(client.id, credentialId, context)
}

async function readerByClient(
  clientId: string,
  secretId: string,
  context: FeedReaderContext,
): Promise<AuthenticatedReader> {
  const audiences = await boundAudiences(clientId, context.store)
  if (audiences.length === 0) throw notBound(clientId)
  const again = async () => {
    const client = await context.findClient(clientId)
    const secret = client?.secrets.find(({ id }) => id === secretId)
    const isGood = secret && (secret.expiresAt === undefined || context.now() < secret.expiresAt)
    return isGood && !client?.disabled ? orUndefined(readerByClient(clientId, secretId, context)) : undefined
  }
  return { audiences, clientId, method: 'client_secret_basic', credentialId: secretId, again }
}

async function readerByToken(
  text: string,
  certificate: ClientRequest['certificate'],
  context: FeedReaderContext,
): Promise<AuthenticatedReader> {
  const token = await readOwnToken(text, context)
  const state = token && (await introspect(token, context, () => true))
  if (!token || state === 'not_for_this_client' || !state?.active) throw invalidToken('the access token is not active')
  if (!isProven(token, certificate, context)) throw invalidToken('the access token is bound to another certificate')
  const { client_id: clientId, aud: audience } = token.claims
  const again = () => orUndefined(readerByToken(text, certificate, context))
  const reader = { clientId, method: 'access_token', credentialId: token.kid, again }
  if (audience === adminAudience && (await mayReadAll(token, context))) {
    return { ...reader, audiences: 'all' }
  }
  const bound = await boundAudiences(clientId, context.store)
  // A token for another API may have come here by way of that API, whose business these revocations are not.
  const audiences = audience === adminAudience ? bound : bound.filter((name) => name === audience)
  if (audiences.length > 0) return { ...reader, audiences }
  throw audience === adminAudience
    ? insufficientScope(clientId)
    : invalidToken('the access token is for another audience')
}

/** A token that is bound to a certificate counts only together with it (RFC 8705 section 3). */
function isProven(
  { claims: { cnf } }: OwnToken,
  certificate: ClientRequest['certificate'],
  { revocations }: ClientAuthContext,
): boolean {
  if (cnf === undefined) return true
  if (certificate === undefined || revocations.isRevokedSerial(certificate.leaf.serialNumber)) return false
  return cnf['x5t#S256'] === certificate.thumbprint
}

/** What an administrator's token says, as far as it is still granted. */
async function mayReadAll({ claims }: OwnToken, context: FeedReaderContext): Promise<boolean> {
  const client = await context.findClient(claims.client_id)
  const granted = client?.grants.get(adminAudience)?.scopes ?? []
  const scopes = claims.scope?.split(' ') ?? []
  return readAllScopes.some((scope) => scopes.includes(scope) && granted.includes(scope))
}

/** The APIs that name this client among their introspectors. */
async function boundAudiences(clientId: string, { database }: Store): Promise<string[]> {
  const rows = await database
    .selectFrom('apis')
    .select(['audience', 'introspectors'])
    .where('introspectors', 'like', `%"${clientId}"%`)
    .execute()
  // `_` in an id is a wildcard to LIKE: the list itself decides.
  return rows.filter((row) => JSON.parse(row.introspectors).includes(clientId)).map((row) => row.audience)
}

async function orUndefined<T>(reader: Promise<T>): Promise<T | undefined> {
  try {
    return await reader
  } catch (error) {
    if (error instanceof OAuthError) return undefined
    throw error
  }
}

function invalidToken(description: string): OAuthError {
  return new OAuthError('invalid_token', description, {
    status: 401,
    headers: {
      'www-authenticate': `Bearer realm="countersign", error="invalid_token", error_description="${description}"`,
    },
  })
}

function insufficientScope(clientId: string): OAuthError {
  return new OAuthError('insufficient_scope', `this needs the scope ${readAllScopes.join(' or ')}`, {
    status: 403,
    headers: {
      'www-authenticate': `Bearer realm="countersign", error="insufficient_scope", scope="${readAllScopes[0]}"`,
    },
    reason: notBound(clientId).reason,
  })
}

function notBound(clientId: string): OAuthError {
  return new OAuthError('unauthorized_client', 'this client is not bound to an API', {
    status: 403,
    reason: `"${clientId}" is among the introspectors of no API; add it with: countersign api update AUDIENCE --add-introspector ${clientId}`,
  })
}
