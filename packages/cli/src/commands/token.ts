import type { Command } from 'commander'
import { createTokenSource } from '../access-token.ts'
import { withAdminApi } from '../admin-api.ts'
import { CliError, wrongUse } from '../cli-error.ts'
import { group, repeated, type ServerOptions, serverLeaf } from '../command.ts'
import { type Connection, findConnection, findUrl } from '../connection.ts'
import { formatInstant } from '../instant.ts'
import { note, paint, printJson, printResource, writeLine } from '../output.ts'
import { printable, printableJson } from '../printable.ts'
import { readText } from '../read-text.ts'

interface GetOptions extends ServerOptions {
  audience?: string
  scope?: string[]
}

interface RevokeOptions extends ServerOptions {
  jti?: string
  client?: string
}

export function tokenCommands(program: Command, description: string): void {
  const token = group(program, 'token', description)

  serverLeaf(
    token,
    'get',
    'get an access token and print it',
    'countersign token get --audience https://orders.example.com\ncurl -H "Authorization: Bearer $(countersign token get --audience https://orders.example.com)" ...',
  )
    .option('--audience <url>', 'the API that it is for; default: what the server has for this client')
    .option('--scope <name>', 'only this scope, not all that are granted; repeatable', repeated)
    .action(getToken)

  serverLeaf(
    token,
    'inspect [token]',
    'decode a token, verify it, and say why it would be refused; exit 1 if it would',
    'countersign token get | countersign token inspect - --audience https://orders.example.com',
  )
    .option('--audience <url>', 'what the receiver is called')
    .action(inspect)

  serverLeaf(
    token,
    'revoke [token]',
    "refuse a token from now on; or all of a client's that were issued until now",
    'countersign token revoke - < token.txt\ncountersign token revoke --client svc-order-processor',
  )
    .option('--jti <id>', 'instead of a token: its jti')
    .option('--client <client>', 'instead of a token: all tokens of this client')
    .action(revoke)
}

async function getToken(options: GetOptions): Promise<void> {
  const connection = await findConnection(options)
  const tokens = await createTokenSource(connection)
  try {
    const { audience, scope } = options
    const token = await tokens.token({ audience, scope: scope?.flatMap((text) => text.split(' ')) })
    if (!options.json) return writeLine(token.accessToken)
    printJson({
      access_token: token.accessToken,
      token_type: token.tokenType,
      expires_in: Math.max(0, Math.round(token.expiresAt - Date.now() / 1000)),
      ...(token.scope !== undefined && { scope: token.scope }),
    })
  } finally {
    tokens.close()
  }
}

async function inspect(argument: string | undefined, options: ServerOptions & { audience?: string }): Promise<void> {
  const token = await readToken(argument)
  const { inspectToken } = await import('../inspection/inspect-token.ts')
  const { judgeRevocation } = await import('../inspection/revocation.ts')
  const connection = await optionalConnection(options)
  const inspection = await inspectToken(token, {
    audience: options.audience,
    issuer: await issuerOf(connection?.url ?? (await findUrl(options))),
    revocation: (claims) => judgeRevocation(token, claims, connection),
    now: Date.now() / 1000,
  })
  if (!inspection.accepted) process.exitCode = 1
  if (options.json) return printJson(inspection)
  const { header, claims, accepted, findings } = inspection
  if (header) writeLine(`${paint('bold', 'Header')}  ${printableJson(header)}`)
  for (const [name, value] of Object.entries(claims ?? {})) {
    const isTime = ['iat', 'exp', 'nbf'].includes(name) && typeof value === 'number'
    const text = typeof value === 'string' ? printable(value) : printableJson(value)
    writeLine(
      `  ${paint('dim', printable(name).padEnd(10))} ${text}${isTime ? paint('dim', ` (${formatInstant(value)})`) : ''}`,
    )
  }
  writeLine('')
  const marks = {
    good: paint('green', 'good   '),
    refused: paint('red', 'REFUSED'),
    unknown: paint('yellow', 'unknown'),
  }
  for (const { verdict, says } of findings) writeLine(`${marks[verdict]}  ${printable(says)}`)
  const isOpen = findings.some(({ verdict }) => verdict === 'unknown')
  if (!accepted) writeLine('\nThis token would be refused.')
  else writeLine(isOpen ? '\nWhat could be checked speaks for this token.' : '\nNothing speaks against this token.')
}

async function issuerOf(url: string | undefined) {
  if (url === undefined) return 'no server is named, give --url or run: countersign login'
  const { readIssuerKeys } = await import('../inspection/signature.ts')
  try {
    return await readIssuerKeys(url)
  } catch (error) {
    if (error instanceof CliError) return error.message
    throw error
  }
}

/** Without a credential a token can still be decoded and verified. */
async function optionalConnection(options: ServerOptions): Promise<Connection | undefined> {
  try {
    return await findConnection(options)
  } catch (error) {
    if (error instanceof CliError && options.clientId === undefined && options.clientSecretFile === undefined)
      return undefined
    throw error
  }
}

async function revoke(argument: string | undefined, options: RevokeOptions): Promise<void> {
  const named = [argument, options.jti, options.client].filter((what) => what !== undefined)
  if (named.length > 1) throw wrongUse('say what to revoke in one way only: a token, --jti or --client')
  if (options.client !== undefined) return revokeAsAdmin({ client_id: options.client }, options)
  if (options.jti !== undefined) return revokeAsAdmin({ jti: options.jti }, options)
  const token = await readToken(argument)
  const { parseJwt } = await import('@countersign/tokens')
  const { client_id, jti, exp, aud } = parseJwt(token).claims
  const connection = await findConnection(options)
  if (client_id !== connection.clientId) return revokeAsAdmin({ jti, exp, audience: aud }, options)
  const { postAsClient } = await import('../client-authentication.ts')
  await postAsClient('/oauth/revoke', { token, token_type_hint: 'access_token' }, connection)
  told({ jti }, options)
}

async function revokeAsAdmin(what: Record<string, unknown>, options: RevokeOptions): Promise<void> {
  const revocation = await withAdminApi(options, (admin) =>
    admin.send<Record<string, unknown>>('POST', '/revocations', what),
  )
  told(revocation ?? what, options)
}

function told(revocation: Record<string, unknown>, options: ServerOptions): void {
  printResource(revocation, options, Object.entries(revocation))
  if (!options.json)
    note('\nIntrospection refuses it from now on, guards that follow the revocation feed within seconds.')
}

async function readToken(argument: string | undefined): Promise<string> {
  if (argument === undefined && process.stdin.isTTY)
    throw wrongUse('no token is given; give it as an argument, or pipe it in with -')
  const token = (argument === undefined || argument === '-' ? await readText('-', 'a token') : argument)
    .trim()
    .replace(/^Bearer\s+/i, '')
  if (token === '') throw wrongUse('the token is empty; give it as an argument, or pipe it in with -')
  return token
}
