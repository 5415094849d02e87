import type { Secret } from '@countersign/tokens'
import { wrongUse } from './cli-error.ts'
import { contextPath, readContext, type SavedContext } from './context-file.ts'
import { readText } from './read-text.ts'
import { parseServerUrl, refusePlainHttp } from './server-url.ts'

export interface ConnectionOptions {
  url?: string
  clientId?: string
  clientSecretFile?: string
  privateKeyFile?: string
  allowHttp?: boolean
}

export type Credential = { secret: Secret } | { privateKey: { pem: string } | { jwk: object }; path: string }

/** Where the server is, and who we are there. */
export interface Connection {
  /** Without a final slash */
  url: string
  clientId: string
  credential: Credential
  allowHttp: boolean
}

type Environment = NodeJS.ProcessEnv

/** The server's address, where no credential is needed. */
export async function findUrl(
  options: ConnectionOptions,
  environment: Environment = process.env,
): Promise<string | undefined> {
  const named = namedUrl(options, environment)
  if (named !== undefined) return named
  const context = await readContext(contextPath(environment))
  return context === undefined ? undefined : parseServerUrl(context.url, `the URL in ${contextPath(environment)}`)
}

/**
 * Finds server and credential: options win over the environment, the environment over what `login` saved. A saved
 * credential is only ever used for the server and client that it was saved for.
 * @throws CliError exit 2 where something is missing
 */
export async function findConnection(
  options: ConnectionOptions,
  environment: Environment = process.env,
): Promise<Connection> {
  const url = namedUrl(options, environment)
  const clientId = options.clientId ?? environment.COUNTERSIGN_CLIENT_ID
  const credential = await namedCredential(options, environment)
  if (url !== undefined && clientId !== undefined && credential !== undefined) {
    return allowed({ url, clientId, credential, allowHttp: options.allowHttp ?? false })
  }
  const path = contextPath(environment)
  const context = await readContext(path)
  if (context === undefined) throw incomplete(url, clientId)
  const saved = parseServerUrl(context.url, `the URL in ${path}`)
  const same = (url ?? saved) === saved && (clientId ?? context.client_id) === context.client_id
  if (credential === undefined && !same) {
    throw wrongUse(
      `the saved login is for client ${context.client_id} at ${saved}, and its credential goes nowhere else; add --client-id and --client-secret-file, or run: countersign login --url ${url ?? saved}`,
    )
  }
  if (clientId === undefined && credential !== undefined && !same) throw incomplete(url, clientId)
  return allowed({
    url: url ?? saved,
    clientId: clientId ?? context.client_id,
    credential: credential ?? (await savedCredential(context)),
    allowHttp: options.allowHttp ?? (same && context.allow_http === true),
  })
}

/** The credential that options or environment name; undefined where they name none. */
export async function namedCredential(
  options: ConnectionOptions,
  environment: Environment = process.env,
): Promise<Credential | undefined> {
  if (options.clientSecretFile !== undefined && options.privateKeyFile !== undefined) {
    throw wrongUse('--client-secret-file and --private-key-file are two credentials; give one of them')
  }
  if (options.clientSecretFile !== undefined) return secretFromFile(options.clientSecretFile)
  if (options.privateKeyFile !== undefined) return readPrivateKey(options.privateKeyFile)
  const { COUNTERSIGN_CLIENT_SECRET, COUNTERSIGN_CLIENT_SECRET_FILE, COUNTERSIGN_PRIVATE_KEY_FILE } = environment
  if (COUNTERSIGN_CLIENT_SECRET) return secretOf(COUNTERSIGN_CLIENT_SECRET, 'COUNTERSIGN_CLIENT_SECRET')
  if (COUNTERSIGN_CLIENT_SECRET_FILE) return secretFromFile(COUNTERSIGN_CLIENT_SECRET_FILE)
  if (COUNTERSIGN_PRIVATE_KEY_FILE) return readPrivateKey(COUNTERSIGN_PRIVATE_KEY_FILE)
  return undefined
}

export function namedUrl(options: ConnectionOptions, environment: Environment = process.env): string | undefined {
  if (options.url !== undefined) return parseServerUrl(options.url, '--url')
  const configured = environment.COUNTERSIGN_URL
  return configured ? parseServerUrl(configured, 'COUNTERSIGN_URL') : undefined
}

export async function secretOf(text: string, source: string): Promise<Credential> {
  const trimmed = text.trim()
  if (trimmed === '') throw wrongUse(`${source} is empty; it should hold the client secret`)
  const { Secret } = await import('@countersign/tokens')
  return { secret: new Secret(trimmed) }
}

export async function readPrivateKey(path: string): Promise<Credential> {
  const text = await readText(path, 'the private key of the client')
  if (!text.trimStart().startsWith('{')) return { privateKey: { pem: text }, path }
  try {
    return { privateKey: { jwk: JSON.parse(text) }, path }
  } catch {
    // The parser's own words would quote the key.
    throw wrongUse(`${path} is not valid JSON; it should hold a private key as a JWK, or as PKCS#8 PEM`)
  }
}

async function secretFromFile(path: string): Promise<Credential> {
  return secretOf(await readText(path, 'the client secret'), path === '-' ? 'standard input' : path)
}

function savedCredential(context: SavedContext): Promise<Credential> {
  if (context.private_key_file !== undefined) return readPrivateKey(context.private_key_file)
  return secretOf(context.client_secret ?? '', 'the saved secret')
}

function allowed(connection: Connection): Connection {
  refusePlainHttp(connection.url, connection.allowHttp)
  return connection
}

function incomplete(url: string | undefined, clientId: string | undefined) {
  if (url === undefined) {
    return wrongUse(
      'no server is named; run countersign login, or give --url (or COUNTERSIGN_URL) with a client id and secret',
    )
  }
  const missing =
    clientId === undefined
      ? 'client id (--client-id or COUNTERSIGN_CLIENT_ID)'
      : 'secret (--client-secret-file or COUNTERSIGN_CLIENT_SECRET)'
  return wrongUse(`the ${missing} for ${url} is missing; give it, or run: countersign login --url ${url}`)
}
