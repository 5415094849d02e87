import type { KeyObject } from 'node:crypto'
import type { PeerCertificate } from '@countersign/guard'
import type { BundleSet, Certificate } from '@countersign/spiffe'
import type { ClientRecord } from '../clients/client.ts'
import type { Form } from '../token-endpoint/form.ts'

/** What a request to an OAuth endpoint brought along. */
export interface ClientRequest {
  form: Form
  /** Values of every Authorization header; more than one is refused before a method sees them */
  authorization: string | undefined
  /** Where the request came from, normalised */
  address: string
  /** What the client showed in TLS, or a proxy of ours tells that it did; nothing of it is verified */
  certificate?: PeerCertificate | undefined
}

export interface AuthenticatedClient {
  client: ClientRecord
  method: string
  /** Id of the secret or key that proved it, or what the certificate names */
  credentialId: string
  /** `x5t#S256` of the certificate that the token gets bound to (RFC 8705 section 3.1) */
  certificateThumbprint?: string
  /** Seconds since the epoch: no token outlives the credential that it was got by */
  credentialExpiresAt?: number
  /** Whether a client still has the credential; by its id where this is left out */
  isHeldBy?: (client: ClientRecord) => boolean
}

export interface ClientAuthContext {
  issuer: string
  tokenEndpoint: string
  clientSecretKey: KeyObject
  /** Seconds since the epoch */
  now: () => number
  findClient: (id: string) => ClientRecord | undefined | Promise<ClientRecord | undefined>
  /** Keys of a client that publishes them at its jwks_uri */
  remoteKeys: (url: string) => RemoteKeys
  assertions: SingleUseAssertions
  /** What SVIDs are verified by; undefined without a trust domain */
  bundles: BundleSet | undefined
  /** The CAs of plain client certificates */
  clientAuthorities: () => readonly Certificate[]
  /** SVIDs that have ended before their time */
  revocations: SvidRevocations
  /** Told of every proven credential, for "last used" */
  onCredentialUsed: (kind: 'secret' | 'key', id: string) => void
}

export interface SvidRevocations {
  /** Lower-case hex */
  isRevokedSerial(serial: string): boolean
  isRevokedJwtSvid(svid: { jti?: string; kid?: string }): boolean
}

/** Where a client publishes its own keys (RFC 7591 `jwks_uri`). */
export interface RemoteKeys {
  keyFor(header: { kid?: string; alg: string }): Promise<import('@countersign/tokens').VerificationKey | undefined>
}

/** Remembers which assertions were used, on every replica. */
export interface SingleUseAssertions {
  /**
   * True the first time, false ever after until `expiresAt` (seconds since the epoch). False too for what was issued
   * before this memory began, as it may have been used then.
   * @throws StoreError `unavailable` when it cannot tell
   */
  firstUse(id: string, expiresAt: number, issuedAt: number): boolean | Promise<boolean>
}

/** One way in which a client proves itself; registered in `client-auth-methods.ts`. */
export interface ClientAuthMethod {
  /** As in RFC 8414 `token_endpoint_auth_methods_supported` */
  readonly name: string
  /** Whether the request carries this method's credential, right or wrong */
  isPresented(request: ClientRequest): boolean
  /** @throws ClientAuthFailure, OAuthError `invalid_request` */
  authenticate(request: ClientRequest, context: ClientAuthContext): AuthenticatedClient | Promise<AuthenticatedClient>
}

/** A credential was presented and does not prove its client. The answer is the same whatever the reason. */
export class ClientAuthFailure extends Error {
  readonly clientId: string | undefined
  readonly method: string

  constructor(method: string, clientId: string | undefined, reason: string) {
    super(reason)
    this.name = 'ClientAuthFailure'
    this.method = method
    this.clientId = clientId
  }
}
