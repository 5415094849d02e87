import { createPrivateKey } from 'node:crypto'
import { createSigner, type PublicJwk, type Signer, type SigningAlgorithm } from '@countersign/tokens'
import type { MasterKey } from '../sealing/master-key.ts'
import type { ChangeFeed } from '../storage/change-feed.ts'
import { type Store, StoreError } from '../storage/store.ts'

export interface PublishedKey {
  kid: string
  algorithm: SigningAlgorithm
  status: 'next' | 'active' | 'retired'
  publicJwk: PublicJwk
}

/** The server's signing keys, in memory, as the store has them: what signs now, and what is published. */
export class KeyRing {
  readonly #store: Store
  readonly #masterKey: MasterKey
  #signers = new Map<SigningAlgorithm, Signer>()
  #published: readonly PublishedKey[] = []
  #version = 0
  #loading: Promise<void> | undefined

  constructor(options: { store: Store; feed: ChangeFeed; masterKey: MasterKey }) {
    this.#store = options.store
    this.#masterKey = options.masterKey
    options.feed.onChange(async (change) => {
      // Out of touch with the store the keys stay: they still verify, and issuing needs the store anyway.
      if (change === 'everything' || change.kind === 'signing_key') await this.load().catch(() => {})
    })
  }

  /** Changes whenever the set does: for ETags and caches of what is published. */
  get version(): number {
    return this.#version
  }

  get published(): readonly PublishedKey[] {
    return this.#published
  }

  /** @throws StoreError `unavailable` when there is no active key for this algorithm */
  signerFor(algorithm: SigningAlgorithm): Signer {
    const signer = this.#signers.get(algorithm)
    if (!signer)
      throw new StoreError(
        'unavailable',
        `no active ${algorithm} signing key; make one with: countersign key rotate --alg ${algorithm}`,
      )
    return signer
  }

  has(algorithm: SigningAlgorithm): boolean {
    return this.#signers.has(algorithm)
  }

  /** Reads the keys anew. Calls that come while one is under way wait for one that begins after them. */
  async load(): Promise<void> {
    const previous = this.#loading
    const loading = (async () => {
      await previous?.catch(() => {})
      await this.#read()
    })()
    this.#loading = loading
    await loading
  }

  async #read(): Promise<void> {
    const rows = await this.#store.database
      .selectFrom('signing_keys')
      .selectAll()
      .where('status', '!=', 'revoked')
      .orderBy('created_at')
      .orderBy('kid')
      .execute()
    const signers = new Map<SigningAlgorithm, Signer>()
    for (const row of rows) {
      if (row.status !== 'active') continue
      const key = createPrivateKey({
        key: this.#masterKey.open(row.sealed_private_key, `signing-key/${row.kid}`),
        format: 'der',
        type: 'pkcs8',
      })
      const algorithm = row.algorithm as SigningAlgorithm
      signers.set(algorithm, createSigner({ algorithm, kid: row.kid, key, type: 'at+jwt' }))
    }
    this.#signers = signers
    this.#published = rows.map((row) => ({
      kid: row.kid,
      algorithm: row.algorithm as SigningAlgorithm,
      status: row.status as PublishedKey['status'],
      publicJwk: JSON.parse(row.public_jwk),
    }))
    this.#version += 1
  }
}
