import { randomUUID } from 'node:crypto'
import { generateSigningKey, signClientAssertion } from '@countersign/tokens'
import { generateMasterKey } from './sealing/master-key.ts'
import { postForm, startTestServer, type TestClient, type TestServer } from './server.fixture.ts'
import { announce } from './storage/change-feed.ts'

export const issuer = 'https://auth.example.com/'

export type ReplicaOptions = Parameters<typeof startTestServer>[0]

/** Two servers that clients cannot tell apart: one database, one master key, one issuer. */
export async function startReplicas(
  databaseUrl: string,
  options: (replica: number) => ReplicaOptions = () => ({}),
): Promise<[TestServer, TestServer]> {
  const masterKey = generateMasterKey()
  const start = (replica: number) => startTestServer({ databaseUrl, masterKey, issuer, ...options(replica) })
  const first = await start(0)
  return [first, await start(1)]
}

export function askToken(server: Pick<TestServer, 'url'>, client?: TestClient, form: Record<string, string> = {}) {
  return postForm(`${server.url}/oauth/token`, { grant_type: 'client_credentials', ...form }, client)
}

export async function publishedKids({ url }: Pick<TestServer, 'url'>): Promise<string[]> {
  const answer = await fetch(`${url}/.well-known/jwks.json`)
  if (answer.status !== 200) throw new Error(`JWKS: ${answer.status}`)
  return ((await answer.json()) as { keys: { kid: string }[] }).keys.map(({ kid }) => kid)
}

export function kidOf(token: string): string {
  return JSON.parse(Buffer.from(token.split('.')[0] ?? '', 'base64url').toString()).kid
}

export function jtiOf(token: string): string {
  return JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()).jti
}

/** As the admin API does it: the change and its announcement in one transaction with the audit event. */
export async function revokeSecret({ authority }: TestServer, client: TestClient): Promise<void> {
  await authority.audit.recordChange(
    { type: 'secret.revoked', outcome: 'success', target: `client/${client.id}` },
    async (transaction) => {
      await transaction.deleteFrom('client_secrets').where('id', '=', client.secretId).execute()
      await announce(transaction, authority.store, { kind: 'client', id: client.id, at: authority.now() })
    },
  )
}

export async function disableClient({ authority }: TestServer, id: string): Promise<void> {
  await authority.audit.recordChange(
    { type: 'client.updated', outcome: 'success', target: `client/${id}` },
    async (transaction) => {
      await transaction.updateTable('clients').set({ disabled: 1 }).where('id', '=', id).execute()
      await announce(transaction, authority.store, { kind: 'client', id, at: authority.now() })
    },
  )
}

/** Makes a client with one key, and gives what signs its assertions. */
export async function addKeyClient(server: TestServer, id: string): Promise<(at?: number) => Record<string, string>> {
  const { authority } = server
  const { privateKey, publicJwk, kid } = await generateSigningKey('ES256')
  await server.addClient(id)
  await authority.audit.recordChange(
    { type: 'key.added', outcome: 'success', target: `client/${id}` },
    async (transaction) => {
      const row = { id: randomUUID(), client_id: id, kid, jwk: JSON.stringify(publicJwk), label: null }
      await transaction
        .insertInto('client_keys')
        .values({ ...row, created_at: 0, last_used_at: null })
        .execute()
      await announce(transaction, authority.store, { kind: 'client', id, at: authority.now() })
    },
  )
  return (at = Math.floor(Date.now() / 1000)) => ({
    grant_type: 'client_credentials',
    client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
    client_assertion: signClientAssertion({
      clientId: id,
      audience: issuer,
      key: privateKey,
      kid,
      algorithm: 'ES256',
      now: at,
      lifetimeSeconds: 60,
    }),
  })
}
