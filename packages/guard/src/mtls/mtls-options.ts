import { readFileSync } from 'node:fs'
import { type BundleSet, type Certificate, parsePemCertificates } from '@countersign/spiffe'
import { GuardConfigurationError } from '../guard-error.ts'
import { type AllowedCallers, type AllowList, createAllowList } from './allowed-callers.ts'

/** Takes callers by the certificate of their connection: X.509-SVIDs, and plain client certificates. */
export interface MtlsOptions {
  /**
   * What X.509-SVIDs are verified by, each by the bundle of its own trust domain: `source.bundles` of an X509Source, what
   * `createBundleSource` gives, or a Map of bundles.
   */
  readonly bundles?: WaitedBundles
  /** The CAs of plain client certificates, in PEM. A certificate with a SPIFFE ID is never believed by these. */
  readonly ca?: string | readonly string[]
  readonly caFile?: string
  /** Who may call. */
  readonly allow: AllowedCallers
  /** The client that a certificate belongs to; undefined refuses it. Default: its SPIFFE ID, or the name it is allowed by. */
  readonly clientOf?: (identity: CertificateIdentity) => string | undefined
  /** What a client may do. Default: no scopes. */
  readonly scopesOf?: (clientId: string) => readonly string[]
}

/** Bundles that may take a moment to come: the first requests wait for `ready`. */
export type WaitedBundles = BundleSet & { readonly ready?: Promise<unknown> }

/** What a verified certificate says of its owner. */
export interface CertificateIdentity {
  readonly spiffeId?: string
  /** The name in the allow-list that it was found by, where it has no SPIFFE ID. */
  readonly allowedAs?: string
  /** As RFC 4514 writes it; `''` for none. */
  readonly subject: string
  readonly dnsNames: readonly string[]
  readonly ipAddresses: readonly string[]
  readonly emails: readonly string[]
  readonly uris: readonly string[]
  /** Lower-case hex. */
  readonly serialNumber: string
  /** `x5t#S256`. */
  readonly thumbprint: string
  /** Seconds since the epoch. */
  readonly expiresAt: number
}

export interface MtlsSettings {
  readonly bundles: WaitedBundles | undefined
  readonly authorities: readonly Certificate[]
  readonly allow: AllowList
  readonly clientOf: NonNullable<MtlsOptions['clientOf']>
  /** Whether certificates are given names of clients, which service tokens must agree with. */
  readonly namesClients: boolean
  readonly scopesOf: NonNullable<MtlsOptions['scopesOf']>
}

/** Throws GuardConfigurationError. */
export function readMtlsOptions(options: MtlsOptions): MtlsSettings {
  const { bundles, ca, caFile, clientOf = ownName, scopesOf = () => [] } = options
  const allow = createAllowList(options.allow, 'mtls.allow')
  const pem = [ca ?? [], caFile === undefined ? [] : readFile(caFile)].flat()
  if (bundles === undefined && pem.length === 0) {
    throw new GuardConfigurationError('"mtls" needs "bundles" for SPIFFE IDs, or "ca" for plain certificates')
  }
  const { spiffeIds = [], trustDomains = [] } = options.allow
  if (bundles === undefined && spiffeIds.length + trustDomains.length > 0) {
    throw new GuardConfigurationError('"mtls.allow" names SPIFFE IDs, and "mtls" has no "bundles" to verify them by')
  }
  const namesClients = options.clientOf !== undefined
  return { bundles, authorities: pem.flatMap(readAuthorities), allow, clientOf, namesClients, scopesOf }
}

function ownName({ spiffeId, allowedAs }: CertificateIdentity): string | undefined {
  return spiffeId ?? allowedAs
}

function readFile(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    throw new GuardConfigurationError(`"mtls.caFile" cannot be read: ${(error as Error).message}`)
  }
}

function readAuthorities(pem: string): readonly Certificate[] {
  try {
    return parsePemCertificates(pem)
  } catch (error) {
    throw new GuardConfigurationError(`"mtls.ca" is no PEM of CA certificates: ${(error as Error).message}`)
  }
}
