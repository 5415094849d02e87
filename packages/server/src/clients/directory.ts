import { importPublicJwk, type SigningAlgorithm } from '@countersign/tokens'
import { LRUCache } from 'lru-cache'
import type { ChangeFeed } from '../storage/change-feed.ts'
import type { Store } from '../storage/store.ts'
import { type ClientRecord, clientIdPattern, type GrantRecord } from './client.ts'
import { readTlsClientAuth } from './tls-client-auth.ts'

/** Finds clients: from memory when it can, from the store when it must; never an old one after a change was told. */
export class ClientDirectory {
  readonly #store: Store
  readonly #records: LRUCache<string, ClientRecord>
  readonly #loading = new Map<string, Promise<ClientRecord | undefined>>()
  /** Grows with every change told; what was read before a change must not be kept after it. */
  #generation = 0

  constructor(options: { store: Store; feed: ChangeFeed; maximumClients?: number }) {
    this.#store = options.store
    // Bounded by size, not `max`: with that the cache takes its memory for all clients at once, and most never come.
    this.#records = new LRUCache({ maxSize: options.maximumClients ?? 50_000, sizeCalculation: () => 1 })
    options.feed.onChange((change) => {
      if (change === 'everything' || change.kind === 'api') this.#forget()
      else if (change.kind === 'client') this.#forget(change.id)
    })
  }

  /** Undefined at once for what cannot be a client id; otherwise the record, or a promise of what the store says. */
  find(id: string): ClientRecord | undefined | Promise<ClientRecord | undefined> {
    const known = this.#records.get(id)
    if (known) return known
    if (!clientIdPattern.test(id)) return undefined
    const underway = this.#loading.get(id)
    if (underway) return underway
    const loading = this.#load(id).finally(() => {
      if (this.#loading.get(id) === loading) this.#loading.delete(id)
    })
    this.#loading.set(id, loading)
    return loading
  }

  #forget(id?: string): void {
    this.#generation += 1
    if (id === undefined) {
      this.#records.clear()
      this.#loading.clear()
    } else {
      this.#records.delete(id)
      this.#loading.delete(id)
    }
  }

  async #load(id: string): Promise<ClientRecord | undefined> {
    const generation = this.#generation
    const record = await loadClient(this.#store, id)
    if (record && generation === this.#generation) this.#records.set(id, record)
    return record
  }
}

async function loadClient({ database }: Store, id: string): Promise<ClientRecord | undefined> {
  const row = await database.selectFrom('clients').selectAll().where('id', '=', id).executeTakeFirst()
  if (!row) return undefined
  const [secrets, keys, grants] = await Promise.all([
    database.selectFrom('client_secrets').select(['id', 'hash', 'expires_at']).where('client_id', '=', id).execute(),
    database.selectFrom('client_keys').select(['id', 'jwk', 'certificate']).where('client_id', '=', id).execute(),
    database
      .selectFrom('client_grants')
      .innerJoin('apis', 'apis.id', 'client_grants.api_id')
      .select(['apis.audience', 'apis.signing_alg', 'apis.token_ttl', 'client_grants.scopes'])
      .where('client_id', '=', id)
      .execute(),
  ])
  return {
    id: row.id,
    name: row.name,
    disabled: row.disabled !== 0,
    defaultAudience: row.default_audience ?? undefined,
    authMethods: row.auth_methods === null ? undefined : JSON.parse(row.auth_methods),
    assertionAudience: row.assertion_audience === 'token_endpoint' ? 'token_endpoint' : 'issuer',
    jwksUri: row.jwks_uri ?? undefined,
    spiffeIds: JSON.parse(row.spiffe_ids),
    tlsClientAuth: row.tls_client_auth === null ? undefined : readTlsClientAuth(JSON.parse(row.tls_client_auth)),
    secrets: secrets.map((secret) => ({
      id: secret.id,
      hash: Buffer.from(secret.hash, 'hex'),
      expiresAt: secret.expires_at ?? undefined,
    })),
    keys: keys.map(({ id, jwk, certificate }) => ({
      id,
      key: importPublicJwk(JSON.parse(jwk)),
      certificate: certificate === null ? undefined : Buffer.from(certificate, 'base64'),
    })),
    grants: new Map(
      grants.map((grant): [string, GrantRecord] => [
        grant.audience,
        {
          audience: grant.audience,
          scopes: JSON.parse(grant.scopes),
          signingAlgorithm: grant.signing_alg as SigningAlgorithm,
          tokenLifetimeSeconds: grant.token_ttl,
        },
      ]),
    ),
  }
}
