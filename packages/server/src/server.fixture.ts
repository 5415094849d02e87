import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createMemoryRateLimiter } from '@countersign/limits'
import type { FastifyInstance } from 'fastify'
import { pino } from 'pino'
import { createApi } from './apis/manage-apis.ts'
import { type Authority, type AuthoritySettings, openAuthority } from './authority.ts'
import { createClient } from './clients/manage-clients.ts'
import { setGrant } from './clients/manage-grants.ts'
import { addClientSecret } from './clients/manage-secrets.ts'
import { freePort } from './free-port.fixture.ts'
import { type AppOptions, buildApp } from './http/app.ts'
import { createMasterKey, generateMasterKey } from './sealing/master-key.ts'

export const testAudience = 'https://orders.example.com'
export const testScopes = ['read:orders', 'write:orders']

export interface TestServerOptions {
  /** By default SQLite in a directory of its own */
  databaseUrl?: string
  /** 32 bytes as text; replicas of one database need the same */
  masterKey?: string
  /** By default `http://localhost:PORT/` */
  issuer?: string
  port?: number
  settings?: Partial<AuthoritySettings>
  app?: Partial<AppOptions>
}

export interface TestServer {
  url: string
  issuer: string
  databaseUrl: string
  masterKey: string
  authority: Authority
  app: FastifyInstance
  /** What the server has logged, a JSON text a line */
  log: string[]
  /** POSTs a form; the secret, if given, travels as Basic */
  post(path: string, form: Record<string, string> | string, client?: TestClient): Promise<Answer>
  /** Makes a client with one secret and, unless told otherwise, every test scope at the test API */
  addClient(id: string, options?: { scopes?: readonly string[] | null; apiId?: string }): Promise<TestClient>
  addApi(
    audience: string,
    options?: { introspectors?: readonly string[]; tokenLifetimeSeconds?: number },
  ): Promise<string>
  /** An access token of the test API */
  token(client: TestClient, form?: Record<string, string>): Promise<string>
  close(): Promise<void>
}

export interface TestClient {
  id: string
  secret: string
  secretId: string
}

export interface Answer {
  status: number
  headers: Headers
  text: string
  // biome-ignore lint/suspicious/noExplicitAny: tests look at what is there
  json: any
}

/** A whole server on a real socket and a real database: without limits unless `app.tokenLimits` says otherwise. */
export async function startTestServer(options: TestServerOptions = {}): Promise<TestServer> {
  const port = options.port ?? (await freePort())
  const issuer = options.issuer ?? `http://localhost:${port}/`
  const masterKey = options.masterKey ?? generateMasterKey()
  const directory = options.databaseUrl ? undefined : await mkdtemp(join(tmpdir(), 'countersign-test-'))
  const databaseUrl = options.databaseUrl ?? `sqlite:${join(directory as string, 'countersign.db')}`
  const authority = await openAuthority({
    issuer,
    databaseUrl,
    masterKey: createMasterKey(masterKey),
    ...options.settings,
  })
  const log: string[] = []
  const app = await buildApp({
    authority,
    limiter: createMemoryRateLimiter(),
    tokenLimits: undefined,
    trustedProxies: [],
    assertionRefusalMilliseconds: 25,
    logger: pino({ level: 'trace' }, { write: (line: string) => void log.push(line) }),
    ...options.app,
  })
  await app.listen({ port, host: '127.0.0.1' })
  const url = `http://127.0.0.1:${port}`
  let apiId: string | undefined
  const addApi: TestServer['addApi'] = (audience, more = {}) =>
    createApi(
      { audience, name: audience, scopes: testScopes.map((name) => ({ name, description: name })), ...more },
      authority,
      {},
    )
  const server: TestServer = {
    url,
    issuer,
    databaseUrl,
    masterKey,
    authority,
    app,
    log,
    addApi,
    post: (path, form, client) => postForm(`${url}${path}`, form, client),
    async addClient(id, { scopes = testScopes, apiId: api } = {}) {
      apiId ??= (await existingApi(authority)) ?? (await addApi(testAudience))
      await createClient({ id }, authority, {})
      const { id: secretId, secret } = await addClientSecret(id, {}, authority, {})
      if (scopes) await setGrant(id, api ?? apiId, scopes, authority, {})
      return { id, secret, secretId }
    },
    async token(client, form = {}) {
      const answer = await server.post('/oauth/token', { grant_type: 'client_credentials', ...form }, client)
      if (answer.status !== 200) throw new Error(`no token: ${answer.status} ${answer.text}`)
      return answer.json.access_token
    },
    async close() {
      try {
        await app.close()
        await authority.close()
      } finally {
        if (directory) await rm(directory, { recursive: true, force: true })
      }
    },
  }
  return server
}

export async function postForm(
  url: string,
  form: Record<string, string> | string,
  client?: Pick<TestClient, 'id' | 'secret'>,
): Promise<Answer> {
  return readAnswer(
    await fetch(url, {
      method: 'POST',
      headers: {
        'content-type': 'application/x-www-form-urlencoded',
        ...(client ? { authorization: basic(client) } : {}),
      },
      body: typeof form === 'string' ? form : new URLSearchParams(form).toString(),
    }),
  )
}

export async function readAnswer(response: Response): Promise<Answer> {
  const text = await response.text()
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch {
    json = undefined
  }
  return { status: response.status, headers: response.headers, text, json }
}

export function basic({ id, secret }: Pick<TestClient, 'id' | 'secret'>): string {
  return `Basic ${Buffer.from(`${encodeURIComponent(id)}:${encodeURIComponent(secret)}`).toString('base64')}`
}

async function existingApi({ store }: Authority): Promise<string | undefined> {
  const row = await store.database
    .selectFrom('apis')
    .select('id')
    .where('audience', '=', testAudience)
    .executeTakeFirst()
  return row?.id
}
