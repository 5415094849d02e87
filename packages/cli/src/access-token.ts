import type { ClientError, ClientOptions, ObtainedAccessToken } from '@countersign/client'
import { CliError } from './cli-error.ts'
import type { Connection } from './connection.ts'
import { readMetadata } from './metadata.ts'
import { unreachableSentence } from './reach.ts'

export interface TokenRequest {
  audience?: string
  scope?: readonly string[]
}

/** Asks for tokens with the connection's credential. @throws CliError that says why the server gave none */
export async function createTokenSource(connection: Connection): Promise<{
  token(request: TokenRequest): Promise<ObtainedAccessToken>
  close(): void
}> {
  const { createClient } = await import('@countersign/client')
  const client = await orExplain(connection, {}, async () => createClient(await optionsFor(connection)))
  return {
    token: (request) => orExplain(connection, request, () => client.token(request)),
    close: () => client.close(),
  }
}

async function optionsFor(connection: Connection): Promise<ClientOptions> {
  const { url, clientId, credential, allowHttp } = connection
  const endpoint = { clientId, tokenEndpoint: `${url}/oauth/token`, allowInsecureIssuer: allowHttp, maximumRetries: 1 }
  if ('secret' in credential) return { ...endpoint, issuer: `${url}/`, clientSecret: credential.secret }
  // The assertion names the issuer as the server writes it, which only the server knows.
  const { issuer } = await readMetadata(url)
  return { ...endpoint, issuer, privateKey: credential.privateKey, allowInsecureIssuer: true }
}

async function orExplain<Result>(
  connection: Connection,
  request: TokenRequest,
  work: () => Promise<Result>,
): Promise<Result> {
  const { ClientError } = await import('@countersign/client')
  try {
    return await work()
  } catch (error) {
    if (error instanceof ClientError) throw new CliError(explain(error, connection, request), 1, error.code)
    throw error
  }
}

export function explain(
  { code, message }: ClientError,
  { url, clientId }: Connection,
  { audience, scope }: TokenRequest,
): string {
  const api = audience ?? 'AUDIENCE'
  switch (code) {
    case 'invalid_client':
      return `the server at ${url} does not accept this credential of client ${clientId}; check the id and the secret, and save them anew with: countersign login`
    case 'invalid_target':
      return audience === undefined
        ? `client ${clientId} has no default audience and not exactly one grant, so say which API the token is for with --audience`
        : `client ${clientId} has no grant for ${audience}; give it one with: countersign client grant ${clientId} --api ${audience} --scope SCOPE`
    case 'invalid_scope':
      return `client ${clientId} is not granted all of ${scope?.join(' ') ?? 'these scopes'}; grant them with: countersign client grant ${clientId} --api ${api} --scope ${scope?.[0] ?? 'SCOPE'}`
    case 'unreachable':
      return unreachableSentence(url, message.match(/\(([A-Z0-9_]+)\)/)?.[1] ?? 'ECONNREFUSED')
    case 'rate_limited':
      return `the server at ${url} has had too many requests; wait a little and try again`
    default:
      return message
  }
}
