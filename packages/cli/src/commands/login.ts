import { resolve } from 'node:path'
import type { Command } from 'commander'
import { createTokenSource } from '../access-token.ts'
import { adminAudience } from '../admin-api.ts'
import { CliError, wrongUse } from '../cli-error.ts'
import { type ServerOptions, serverLeaf } from '../command.ts'
import { type Connection, type Credential, namedCredential, namedUrl, secretOf } from '../connection.ts'
import { contextPath, saveContext } from '../context-file.ts'
import { note, printResource } from '../output.ts'
import { parseServerUrl, refusePlainHttp } from '../server-url.ts'

export function loginCommand(program: Command, description: string): void {
  serverLeaf(
    program,
    'login',
    description,
    'countersign login --url https://auth.example.com --client-id admin\ncountersign login --url http://localhost:8080 --client-id admin --client-secret-file - < secret.txt',
  ).action(login)
}

async function login(options: ServerOptions): Promise<void> {
  const connection = await askForConnection(options)
  refusePlainHttp(connection.url, connection.allowHttp)
  const scope = await tryOut(connection)
  const { url, clientId, credential, allowHttp } = connection
  const saved =
    'secret' in credential
      ? { client_secret: credential.secret.reveal() }
      : { private_key_file: resolve(credential.path) }
  await saveContext({ url, client_id: clientId, ...saved, ...(allowHttp && { allow_http: true }) })
  printResource({ url, client_id: clientId, scope, file: contextPath() }, options, [
    ['server', url],
    ['client', clientId],
    ['admin scopes', scope],
    ['saved in', contextPath()],
  ])
}

async function askForConnection(options: ServerOptions): Promise<Connection> {
  const url = namedUrl(options) ?? parseServerUrl(await ask('Server', 'http://localhost:8080', '--url'), 'the server')
  const clientId =
    options.clientId ?? process.env.COUNTERSIGN_CLIENT_ID ?? (await ask('Client id', 'admin', '--client-id'))
  const credential = (await namedCredential(options)) ?? (await askForSecret(clientId))
  return { url, clientId, credential, allowHttp: options.allowHttp ?? false }
}

/** A login that does not work is better refused now than found out later. @returns the admin scopes, if any */
async function tryOut(connection: Connection): Promise<string | undefined> {
  const tokens = await createTokenSource(connection)
  try {
    return (await tokens.token({ audience: adminAudience })).scope
  } catch (error) {
    // A client without a place at the admin API can still get and inspect tokens.
    if (!(error instanceof CliError && error.reason === 'invalid_target')) throw error
    note(`Client ${connection.clientId} may not use the admin API; it can only get, inspect and revoke its own tokens.`)
    return undefined
  } finally {
    tokens.close()
  }
}

async function ask(message: string, placeholder: string, option: string): Promise<string> {
  if (!process.stdin.isTTY)
    throw wrongUse(`${message.toLowerCase()} is missing and there is no terminal to ask at; give ${option}`)
  const { isCancel, text } = await import('@clack/prompts')
  const answer = await text({ message, placeholder, defaultValue: placeholder, output: process.stderr })
  if (isCancel(answer)) throw wrongUse('login was cancelled; nothing is saved')
  return answer
}

async function askForSecret(clientId: string): Promise<Credential> {
  if (!process.stdin.isTTY) {
    throw wrongUse(
      'the client secret is missing and there is no terminal to ask at; give --client-secret-file FILE (- for standard input) or COUNTERSIGN_CLIENT_SECRET',
    )
  }
  const { isCancel, password } = await import('@clack/prompts')
  const answer = await password({ message: `Secret of client ${clientId}`, output: process.stderr })
  if (isCancel(answer)) throw wrongUse('login was cancelled; nothing is saved')
  return secretOf(answer ?? '', 'the secret')
}
