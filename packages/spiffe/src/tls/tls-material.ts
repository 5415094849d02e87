import { constants } from 'node:crypto'
import { createSecureContext, type SecureContext, type SecureContextOptions } from 'node:tls'
import { formatPemCertificates, toPem } from '../certificates/pem.ts'
import type { X509Svid } from '../svids/x509-svid.ts'
import type { TlsSource } from './tls-source.ts'

/** What node:tls needs of a source, made once for each of its updates. */
export class TlsMaterial {
  readonly #source: TlsSource
  #isStale = true
  #svid: X509Svid | undefined
  #server: SecureContextOptions = {}
  #client: SecureContext | undefined

  static of(source: TlsSource): TlsMaterial {
    const known = materials.get(source)
    if (known) return known
    const material = new TlsMaterial(source)
    materials.set(source, material)
    return material
  }

  private constructor(source: TlsSource) {
    this.#source = source
    source.onUpdate(() => {
      this.#isStale = true
    })
  }

  /**
   * Of a server's context. It believes nobody: `verifyPeer` judges the clients. (Where OpenSSL believes a client, Node
   * 24.21 and 26.8 lose its intermediate certificates: nodejs/node#65579.)
   *
   * @throws SpiffeError what the source throws when it has no identity that lives
   */
  serverOptions(): SecureContextOptions {
    this.#refresh()
    return this.#server
  }

  /** Of a client, for whom OpenSSL judges the server before `verifyPeer` does. @throws as `serverOptions` */
  clientContext(): SecureContext {
    this.#refresh()
    this.#client ??= createSecureContext({ ...this.#server, ca: authoritiesOf(this.#source) })
    return this.#client
  }

  #refresh(): void {
    const svid = this.#source.svid()
    if (!this.#isStale && svid === this.#svid) return
    this.#server = { ...shutOptions, ...identityOf(svid) }
    this.#client = undefined
    this.#svid = svid
    this.#isStale = false
  }
}

const materials = new WeakMap<TlsSource, TlsMaterial>()

/** A context that can neither prove anything nor believe anybody. */
export const shutOptions: SecureContextOptions = {
  minVersion: 'TLSv1.2',
  // A resumed session would outlive the certificate and the check of the peer.
  secureOptions: constants.SSL_OP_NO_TICKET,
  // Anchors of a SPIFFE bundle need not be roots.
  allowPartialTrustChain: true,
  ca: [],
}

function identityOf(svid: X509Svid): SecureContextOptions {
  return {
    cert: formatPemCertificates(svid.certificates),
    key: svid.privateKey.export({ format: 'pem', type: 'pkcs8' }),
  }
}

/**
 * All trust domains' authorities together are only OpenSSL's first sieve. That each ID is vouched for by its own trust
 * domain is checked in `verifyPeer`.
 */
function authoritiesOf(source: TlsSource): string[] {
  return [...source.bundles.values()].flatMap((bundle) => bundle.x509Authorities.map(({ der }) => toPem(der)))
}
