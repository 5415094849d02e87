import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto'
import { createSigner, jwkThumbprint, type PublicJwk, type Signer, type SigningAlgorithm } from '@countersign/tokens'
import type { MasterKey } from '../sealing/master-key.ts'
import type { ChangeFeed } from '../storage/change-feed.ts'
import { inTurn } from '../storage/in-turn.ts'
import { type Store, StoreError } from '../storage/store.ts'
import type { SigningKeyRow } from '../storage/tables.ts'

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

  constructor(options: { store: Store; feed: ChangeFeed; masterKey: MasterKey; onError?: (error: unknown) => void }) {
    this.#store = options.store
    this.#masterKey = options.masterKey
    // Out of touch with the store the keys stay: they still verify, and issuing needs the store anyway. The feed comes
    // back to a reading that failed, and what cannot be opened is for `load`'s own callers to say.
    options.feed.onChange(async (change) => {
      if (change !== 'everything' && change.kind !== 'signing_key') return
      await this.load().catch((error) => {
        options.onError?.(error)
        if ((error as { code?: string }).code !== 'corrupt_key') throw error
      })
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

  /**
   * Reads the keys anew. Calls that come while one is under way wait for one that begins after them.
   * @throws StoreError `unavailable`, and then the keys stay as they are; `corrupt_key`, and then all but that one serve
   */
  readonly load = inTurn(() => this.#read())

  async #read(): Promise<void> {
    const rows = await this.#store.database
      .selectFrom('signing_keys')
      .selectAll()
      .where('status', '!=', 'revoked')
      .orderBy('created_at')
      .orderBy('kid')
      .execute()
    const signers = new Map<SigningAlgorithm, Signer>()
    let fault: StoreError | undefined
    for (const row of rows) {
      if (row.status !== 'active') continue
      const algorithm = row.algorithm as SigningAlgorithm
      try {
        const key = openSigningKey(row, this.#masterKey)
        signers.set(algorithm, createSigner({ algorithm, kid: row.kid, key, type: 'at+jwt' }))
      } catch (error) {
        fault = error as StoreError
      }
    }
    this.#signers = signers
    this.#published = rows.map((row) => ({
      kid: row.kid,
      algorithm: row.algorithm as SigningAlgorithm,
      status: row.status as PublishedKey['status'],
      publicJwk: JSON.parse(row.public_jwk),
    }))
    this.#version += 1
    if (fault) throw fault
  }
}

/** @throws StoreError `corrupt_key` when it cannot be opened, or is not the private half of what is published */
function openSigningKey(row: SigningKeyRow, masterKey: MasterKey): KeyObject {
  try {
    const der = masterKey.open(row.sealed_private_key, `signing-key/${row.kid}`)
    const key = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' })
    if (jwkThumbprint(createPublicKey(key).export({ format: 'jwk' }) as PublicJwk) === row.kid) return key
  } catch {
    // Said below, for every way in which it can be broken.
  }
  throw new StoreError(
    'corrupt_key',
    `the ${row.algorithm} signing key ${row.kid} in the database is damaged and cannot be opened; restore a backup, or give the key up: delete from signing_keys where kid = '${row.kid}'`,
  )
}
