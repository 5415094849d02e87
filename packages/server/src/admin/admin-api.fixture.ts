import { createMemoryRateLimiter } from '@countersign/limits'
import type { FastifyInstance, InjectOptions } from 'fastify'
import { pino } from 'pino'
import { type Authority, type AuthoritySettings, openAuthority } from '../authority.ts'
import { type AppOptions, buildApp } from '../http/app.ts'
import { createMasterKey, generateMasterKey } from '../sealing/master-key.ts'
import type { Store } from '../storage/store.ts'
import { freshDatabase } from '../storage/stores.fixture.ts'
import { adminAudience } from './admin-scopes.ts'
import { ensureAdminClient } from './ensure-admin-client.ts'

export const rootClient = { clientId: 'root', clientSecret: 'a-secret-of-the-operator-0123456789abcdef' }

export interface Answer {
  status: number
  // biome-ignore lint/suspicious/noExplicitAny: what tests look into is what they check.
  body: any
  headers: Record<string, unknown>
  text: string
}

export interface AdminApiUnderTest {
  app: FastifyInstance
  authority: Authority
  /** What the server logged so far */
  logged(): string
  /** Moves the server's clock */
  advance(seconds: number): void
  /** Calls the admin API as the root administrator, or with the token given */
  call(method: string, path: string, body?: unknown, options?: CallOptions): Promise<Answer>
  tokenFor(clientId: string, clientSecret: string, scope?: string): Promise<string>
  /** A client with these scopes of the admin API, and its token */
  administrator(id: string, scopes: readonly string[]): Promise<{ id: string; secret: string; token: string }>
  /** After the clock has moved past the old one's life */
  renewRootToken(): Promise<void>
  close(): Promise<void>
}

export interface CallOptions {
  /** Null: none */
  token?: string | null
  headers?: Record<string, string>
}

export interface AdminApiSettings extends Partial<AppOptions> {
  kind?: Store['kind']
  /** Gives the server a trust domain */
  spiffe?: AuthoritySettings['spiffe']
}

/** A whole server over a database of its own, with its clock in the test's hand. */
export async function openAdminApi({
  kind = 'sqlite',
  spiffe,
  ...settings
}: AdminApiSettings = {}): Promise<AdminApiUnderTest> {
  let offset = 0
  const database = await freshDatabase(kind)
  const lines: string[] = []
  const authority = await openAuthority({
    issuer: 'https://auth.example.com/',
    databaseUrl: database.url,
    masterKey: createMasterKey(generateMasterKey()),
    nowMilliseconds: () => Date.now() + offset,
    ...(spiffe && { spiffe }),
  })
  await ensureAdminClient(authority, rootClient)
  const app = await buildApp({
    authority,
    limiter: createMemoryRateLimiter(),
    tokenLimits: undefined,
    trustedProxies: [],
    logger: pino({ level: 'trace' }, { write: (line: string) => void lines.push(line) }),
    ...settings,
  })

  const tokenFor = async (clientId: string, clientSecret: string, scope?: string) => {
    const form = new URLSearchParams({ grant_type: 'client_credentials', audience: adminAudience })
    if (scope !== undefined) form.set('scope', scope)
    const answer = await app.inject({
      method: 'POST',
      url: '/oauth/token',
      headers: {
        'content-type': 'application/x-www-form-urlencoded',
        authorization: `Basic ${Buffer.from(`${clientId}:${clientSecret}`).toString('base64')}`,
      },
      payload: form.toString(),
    })
    if (answer.statusCode !== 200) throw new Error(`no token for ${clientId}: ${answer.body}`)
    return answer.json().access_token as string
  }
  let rootToken = await tokenFor(rootClient.clientId, rootClient.clientSecret)

  const call: AdminApiUnderTest['call'] = async (method, path, body, { token = rootToken, headers = {} } = {}) => {
    const answer = await app.inject({
      method: method as InjectOptions['method'],
      url: `/api/v1${path}`,
      headers: {
        ...(token === null ? {} : { authorization: `Bearer ${token}` }),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body === undefined ? {} : { payload: typeof body === 'string' ? body : JSON.stringify(body) }),
    } as InjectOptions)
    const isJson = String(answer.headers['content-type']).includes('json')
    return {
      status: answer.statusCode,
      body: isJson && answer.body !== '' ? answer.json() : undefined,
      headers: answer.headers,
      text: answer.body,
    }
  }

  return {
    app,
    authority,
    logged: () => lines.join(''),
    advance: (seconds: number) => {
      offset += seconds * 1000
    },
    call,
    tokenFor,
    async administrator(id: string, scopes: readonly string[]) {
      const created = await call('POST', '/clients', { id, with_secret: true })
      await call('PUT', `/clients/${id}/grants/${encodeURIComponent(adminAudience)}`, { scopes })
      const secret: string = created.body.client_secret
      return { id, secret, token: await tokenFor(id, secret) }
    },
    async renewRootToken() {
      rootToken = await tokenFor(rootClient.clientId, rootClient.clientSecret)
    },
    async close() {
      await app.close()
      await authority.close()
      await database.drop()
    },
  }
}
