// The server as it is deployed, on a port of its own, set up through its admin API alone: no test here looks inside.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { generateMasterKey, loadConfig, startServer } from '@countersign/server'
import { pino } from 'pino'
import { freePort } from './free-port.ts'

export const scopes = ['read:things', 'write:things']

/** One API for every algorithm that the server signs with. */
export const audiences = {
  RS256: 'https://orders.example.com',
  ES256: 'https://inventory.example.com',
  EdDSA: 'https://billing.example.com',
} as const

/** Every character that Basic credentials must escape (RFC 6749 section 2.3.1), and some that they need not. */
export const administrator = { clientId: 'admin', clientSecret: 'of the operator: 100% +äöü&=/?"~*-_. 0123' }

export interface ServerUnderTest {
  /** `http://localhost:PORT/`, with its slash */
  issuer: string
  metadata: ServerMetadata
  adminToken: string
  // biome-ignore lint/suspicious/noExplicitAny: whatever the admin API answers
  admin(method: string, path: string, body?: unknown): Promise<any>
  /** A client with grants for these APIs, by default for one: such a client need not name its audience */
  addClient(id: string, more?: object, grants?: readonly string[]): Promise<{ clientId: string; clientSecret: string }>
  addKey(clientId: string, jwk: object): Promise<void>
  token(client: { clientId: string; clientSecret: string }, audience: string): Promise<string>
  close(): Promise<void>
}

/** What tests need of RFC 8414's metadata */
export interface ServerMetadata {
  issuer: string
  token_endpoint: string
  jwks_uri: string
}

/** @param environment further `COUNTERSIGN_*` variables */
export async function startServerUnderTest(environment: Record<string, string> = {}): Promise<ServerUnderTest> {
  const folder = await mkdtemp(join(tmpdir(), 'countersign-conformance-'))
  const port = await freePort()
  const issuer = `http://localhost:${port}/`
  const config = loadConfig({
    environment: {
      COUNTERSIGN_ISSUER: issuer,
      COUNTERSIGN_HOST: '127.0.0.1',
      COUNTERSIGN_PORT: String(port),
      COUNTERSIGN_DATABASE_URL: `sqlite:${join(folder, 'countersign.db')}`,
      COUNTERSIGN_MASTER_KEY: generateMasterKey(),
      COUNTERSIGN_ADMIN_CLIENT_ID: administrator.clientId,
      COUNTERSIGN_ADMIN_CLIENT_SECRET: administrator.clientSecret,
      ...environment,
    },
  })
  const running = await startServer(config, pino({ level: 'silent' }))
  const answer = await fetch(`${issuer}.well-known/oauth-authorization-server`)
  const metadata = (await answer.json()) as ServerMetadata
  const token: ServerUnderTest['token'] = ({ clientId, clientSecret }, audience) =>
    requestToken(metadata.token_endpoint, {
      client_id: clientId,
      client_secret: clientSecret,
      audience,
    })
  const adminToken = await token(administrator, 'urn:countersign:admin')
  const admin: ServerUnderTest['admin'] = async (method, path, body) => {
    const answer = await fetch(`${issuer}api/v1${path}`, {
      method,
      headers: { authorization: `Bearer ${adminToken}`, ...(body ? { 'content-type': 'application/json' } : {}) },
      ...(body ? { body: JSON.stringify(body) } : {}),
    })
    const text = await answer.text()
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`)
    return text === '' ? undefined : JSON.parse(text)
  }
  for (const [signing_alg, audience] of Object.entries(audiences)) {
    await admin('POST', '/apis', {
      audience,
      signing_alg,
      scopes: scopes.map((name) => ({ name, description: name })),
      introspectors: [],
    })
  }
  return {
    issuer,
    metadata,
    adminToken,
    admin,
    token,
    async addClient(id, more = {}, grants = [audiences.RS256]) {
      const created = await admin('POST', '/clients', { id, with_secret: true, ...more })
      for (const audience of grants) {
        await admin('PUT', `/clients/${id}/grants/${encodeURIComponent(audience)}`, { scopes })
      }
      return { clientId: id, clientSecret: created.client_secret }
    },
    async addKey(clientId, jwk) {
      await admin('POST', `/clients/${clientId}/keys`, { jwk })
    },
    async close() {
      await running.close()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

async function requestToken(endpoint: string, form: Record<string, string>): Promise<string> {
  const answer = await fetch(endpoint, {
    method: 'POST',
    body: new URLSearchParams({ grant_type: 'client_credentials', ...form }),
  })
  const body = (await answer.json()) as { access_token?: string }
  if (!body.access_token) throw new Error(`no token: ${answer.status} ${JSON.stringify(body)}`)
  return body.access_token
}
