import { constants } from 'node:crypto'
import { createSecureContext, type SecureContext, type SecureContextOptions } from 'node:tls'
import { toPem } from '../certificates/pem.ts'
import type { X509Svid } from '../svids/x509-svid.ts'
import type { TlsSource } from './tls-source.ts'

/** What node:tls needs of a source, made once for each of its updates. */
export class TlsMaterial {
  readonly #source: TlsSource
  #options: SecureContextOptions | undefined
  #context: SecureContext | undefined
  #svid: X509Svid | undefined

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
      this.#options = undefined
      this.#context = undefined
    })
  }

  /** @throws SpiffeError what the source throws when it has no identity that lives */
  options(): SecureContextOptions {
    const svid = this.#source.svid()
    if (this.#options === undefined || svid !== this.#svid) {
      this.#options = { ...identityOf(svid), ca: authoritiesOf(this.#source), ...protocolOptions }
      this.#context = undefined
      this.#svid = svid
    }
    return this.#options
  }

  /** @throws as `options` */
  context(): SecureContext {
    const options = this.options()
    this.#context ??= createSecureContext(options)
    return this.#context
  }
}

const materials = new WeakMap<TlsSource, TlsMaterial>()

/** For every TLS context of this package. */
export const protocolOptions: SecureContextOptions = {
  minVersion: 'TLSv1.2',
  // A resumed session would outlive the certificate and the check of the peer.
  secureOptions: constants.SSL_OP_NO_TICKET,
  // Anchors of a SPIFFE bundle need not be roots.
  allowPartialTrustChain: true,
}

function identityOf(svid: X509Svid): SecureContextOptions {
  return {
    cert: svid.certificates.map(({ der }) => toPem(der)).join(''),
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
