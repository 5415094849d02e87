import { createPublicKey, type KeyObject } from 'node:crypto'
import {
  type Bundle,
  type Certificate,
  type CertificateIssuer,
  createBundle,
  createCertificateIssuer,
  parseCertificate,
} from '@countersign/spiffe'
import type { MasterKey } from '../sealing/master-key.ts'
import type { ChangeFeed } from '../storage/change-feed.ts'
import { inTurn } from '../storage/in-turn.ts'
import type { Store } from '../storage/store.ts'
import type { CertificateAuthorityRow } from '../storage/workload-identity-tables.ts'
import { CaUnavailable } from './ca-unavailable.ts'
import { openAuthorityKey } from './open-authority-key.ts'
import { publishedTexts } from './published-authorities.ts'
import type { JwtAuthority, PublishedAuthorities, TrustDomainAuthority } from './trust-domain-authority.ts'

export interface CertificateAuthoritiesOptions {
  store: Store
  feed: ChangeFeed
  masterKey: MasterKey
  trustDomain: string
  /** Seconds; goes into the bundle */
  refreshHintSeconds?: number
  onError?: (error: unknown) => void
}

/** Who signs now, or why nobody can. */
type Signing<T> = { readonly id: string; readonly value: T } | { readonly id: string; readonly fault: CaUnavailable }

/** The trust domain's authorities, in memory, as the store has them: who signs now, and what is published. */
export class CertificateAuthorities implements TrustDomainAuthority {
  readonly trustDomain: string
  readonly #options: CertificateAuthoritiesOptions
  readonly #listeners = new Set<() => void>()
  #x509: Signing<CertificateIssuer> | undefined
  #jwt: Signing<JwtAuthority> | undefined
  #bundle: Bundle
  #published: PublishedAuthorities = { sequenceNumber: 0, x509: [], jwt: [] }

  constructor(options: CertificateAuthoritiesOptions) {
    this.#options = options
    this.trustDomain = options.trustDomain
    this.#bundle = this.#bundleOf(this.#published, [])
    // Out of touch with the store what is known stays: it still verifies, and issuing needs the store anyway.
    options.feed.onChange(async (change) => {
      if (change !== 'everything' && change.kind !== 'certificate_authority') return
      await this.load().catch((error) => {
        options.onError?.(error)
        throw error
      })
    })
  }

  issuer(): CertificateIssuer {
    return valueIn(this.#x509, 'x509')
  }

  jwtSigner(): JwtAuthority {
    return valueIn(this.#jwt, 'jwt')
  }

  bundle(): Bundle {
    return this.#bundle
  }

  published(): PublishedAuthorities {
    return this.#published
  }

  signsUntil(): { x509?: number; jwt?: number } {
    const [x509, jwt] = [this.#x509, this.#jwt]
    return {
      ...(x509 && 'value' in x509 && { x509: x509.value.certificate.notAfter }),
      ...(jwt && 'value' in jwt && { jwt: jwt.value.expiresAt }),
    }
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  /**
   * Reads all anew. Calls that come while one is under way wait for one that begins after them.
   * @throws StoreError `unavailable`, and then all stays as it is
   */
  readonly load = inTurn(() => this.#read())

  async #read(): Promise<void> {
    const { sequenceNumber, rows } = await readAuthorities(this.#options.store, this.trustDomain)
    const texts = publishedTexts(rows)
    const certificates = [...texts.roots.keys()].map((root) => parseCertificate(Buffer.from(root, 'base64')))
    const published: PublishedAuthorities = {
      sequenceNumber,
      x509: certificates.map(({ der }) => ({ der, tainted: texts.roots.get(der.toString('base64')) === true })),
      jwt: rows
        .filter(({ kind }) => kind === 'jwt')
        .map(({ id, public_key, expires_at, tainted_at }) => ({
          kid: id,
          publicKeyDer: Buffer.from(public_key, 'base64'),
          expiresAt: expires_at,
          tainted: tainted_at !== null,
        })),
    }
    const bundle = this.#bundleOf(published, certificates)
    const active = (kind: string) => rows.find((row) => row.kind === kind && row.status === 'active')
    const [x509, jwt] = [
      this.#signing(active('x509'), this.#x509, issuerOf),
      this.#signing(active('jwt'), this.#jwt, ({ id, expires_at }, key) => ({ kid: id, key, expiresAt: expires_at })),
    ]
    const changed =
      sequenceNumber !== this.#published.sequenceNumber || x509?.id !== this.#x509?.id || jwt?.id !== this.#jwt?.id
    this.#published = published
    this.#bundle = bundle
    this.#x509 = x509
    this.#jwt = jwt
    if (changed) for (const listener of this.#listeners) listener()
  }

  /** What was opened once is not opened again: an issuer prepares what it can for all that it will sign. */
  #signing<T>(
    row: CertificateAuthorityRow | undefined,
    known: Signing<T> | undefined,
    open: (row: CertificateAuthorityRow, key: KeyObject) => T,
  ): Signing<T> | undefined {
    if (!row) return undefined
    if (known?.id === row.id && 'value' in known) return known
    try {
      return { id: row.id, value: open(row, openAuthorityKey(row, this.#options.masterKey)) }
    } catch (error) {
      this.#options.onError?.(error)
      return { id: row.id, fault: error as CaUnavailable }
    }
  }

  #bundleOf({ sequenceNumber, jwt }: PublishedAuthorities, x509Authorities: readonly Certificate[]): Bundle {
    const { refreshHintSeconds } = this.#options
    return createBundle({
      trustDomain: this.trustDomain,
      x509Authorities,
      jwtAuthorities: jwt.map(({ kid, publicKeyDer, expiresAt }) => ({
        keyId: kid,
        publicKey: createPublicKey({ key: publicKeyDer, format: 'der', type: 'spki' }),
        expiresAt,
      })),
      sequenceNumber,
      ...(refreshHintSeconds !== undefined && { refreshHintSeconds }),
    })
  }
}

/** In one statement: a sequence number must never stand beside another bundle than its own. */
async function readAuthorities(
  { database }: Store,
  trustDomain: string,
): Promise<{ sequenceNumber: number; rows: CertificateAuthorityRow[] }> {
  const found = await database
    .selectFrom('certificate_authorities')
    .innerJoin('bundle_state', 'bundle_state.trust_domain', 'certificate_authorities.trust_domain')
    .selectAll('certificate_authorities')
    .select('bundle_state.sequence_number')
    .where('certificate_authorities.trust_domain', '=', trustDomain)
    .where('certificate_authorities.status', '!=', 'revoked')
    .orderBy('certificate_authorities.created_at')
    .orderBy('certificate_authorities.id')
    .execute()
  return { sequenceNumber: found[0]?.sequence_number ?? 0, rows: found }
}

function issuerOf(row: CertificateAuthorityRow, key: KeyObject): CertificateIssuer {
  const certificate = parseCertificate(Buffer.from(row.certificate ?? '', 'base64'))
  const chain = (JSON.parse(row.chain) as string[]).map((text) => parseCertificate(Buffer.from(text, 'base64')))
  return createCertificateIssuer({ key, certificate, chain })
}

function valueIn<T>(signing: Signing<T> | undefined, kind: string): T {
  if (!signing)
    throw new CaUnavailable(
      `no ${kind} authority is active; make one with: countersign ca rotate --kind ${kind} --force`,
    )
  if ('fault' in signing) throw signing.fault
  return signing.value
}
