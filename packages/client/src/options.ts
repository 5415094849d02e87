import { setTimeout } from 'node:timers/promises'
import { Secret } from '@countersign/tokens'
import {
  type Authentication,
  type AuthenticationMethod,
  byCertificate,
  clientSecretBasic,
  clientSecretPost,
  type JwtSvidSource,
  type PrivateKeyOption,
  privateKeyJwt,
  spiffeJwt,
} from './authentication.ts'
import { ClientError } from './client-error.ts'
import { parseAuthorityUrl, parseIssuer } from './issuer.ts'
import { createWishes, readTargets, type Target, type TokenWish } from './targets.ts'
import type { TokenStore } from './token-store.ts'

export interface ClientOptions {
  /** The token server's issuer, exactly as configured there, final slash included. */
  issuer: string
  clientId: string
  clientSecret?: string | Secret
  /** During rotation: tried where the server refuses the first with invalid_client; the one that works is remembered. */
  nextClientSecret?: string | Secret
  privateKey?: PrivateKeyOption
  /** For spiffe_jwt: where this workload's JWT-SVIDs come from. */
  jwtSource?: JwtSvidSource
  /** Default: private_key_jwt with a privateKey, spiffe_jwt with a jwtSource, else client_secret_basic. */
  authMethod?: AuthenticationMethod
  /** What `token()` and `fetch` ask for unless told otherwise. */
  audience?: string
  scope?: string | readonly string[]
  /** Which origin gets which token from `fetch`. The audience's own origin needs no entry. */
  targets?: Record<string, Target>
  /** Further origins that get the default token. */
  origins?: readonly string[]
  /** Where to ask for tokens; default: as the issuer's metadata says, at the issuer's origin. */
  tokenEndpoint?: string
  /** Lets the secret travel over plain http to a host that is not this machine. */
  allowInsecureIssuer?: boolean
  store?: TokenStore
  /** How long before its end a token is renewed, give or take a quarter. Default: a tenth of its life. */
  refreshAheadSeconds?: number
  /** The longest that getting a token may take, retries included. Default 15 000. */
  timeoutMilliseconds?: number
  /** The longest that one attempt of it may take. Default 5 000. */
  attemptTimeoutMilliseconds?: number
  /** Default 3. */
  maximumRetries?: number
  /** Hears of what was survived: a failing store, a renewal in the background that did not work. */
  onWarning?: (warning: ClientError) => void
  /** For tls_client_auth, self_signed_tls_client_auth and spiffe_x509 one that shows the certificate: `createMtlsFetch`. */
  fetch?: typeof globalThis.fetch | CertificateFetch
  /** Milliseconds since the epoch. */
  now?: () => number
  /** Milliseconds on a clock that never steps back. */
  monotonicNow?: () => number
  /** From 0 up to 1. */
  random?: () => number
  /** Resolves after a time, or as soon as the signal aborts. */
  wait?: (milliseconds: number, signal: AbortSignal) => Promise<void>
}

/** As much of an MtlsFetch as a client needs. */
export interface CertificateFetch {
  (input: string | URL | Request, init?: RequestInit): Promise<Response>
  credentialVersion?(): string
}

/** Options as the rest of the package uses them: checked, complete, secrets wrapped. */
export interface ClientSettings {
  issuer: string
  tokenEndpoint?: string
  authentications: readonly Authentication[]
  wishFor: (target: Target) => TokenWish
  defaults: Target
  targets: Map<string, TokenWish>
  /** Tokens that were got by another version of the credential are not used; undefined where they are not bound to it. */
  credentialVersion?: () => string
  /** Whether tokens are asked for where a certificate is asked for (RFC 8705 section 5). */
  useMtlsAlias: boolean
  store?: TokenStore
  refreshAheadSeconds?: number
  timeoutMilliseconds: number
  attemptTimeoutMilliseconds: number
  maximumRetries: number
  onWarning: (warning: ClientError) => void
  fetch: typeof globalThis.fetch
  now: () => number
  monotonicNow: () => number
  random: () => number
  wait: (milliseconds: number, signal: AbortSignal) => Promise<void>
}

/** @throws ClientError `invalid_configuration`, never with a value of a secret in it */
export function readOptions(options: ClientOptions): ClientSettings {
  refuseUnknown(options)
  const { issuer, clientId, audience, scope, tokenEndpoint, allowInsecureIssuer = false } = options
  parseIssuer(issuer, allowInsecureIssuer)
  if (tokenEndpoint !== undefined) parseAuthorityUrl(tokenEndpoint, 'tokenEndpoint', allowInsecureIssuer)
  if (typeof clientId !== 'string' || !/^[\x20-\x7e]+$/.test(clientId)) {
    throw unusable('clientId must be a non-empty string of printable ASCII, as the token server shows it')
  }
  const wishFor = createWishes(issuer, clientId)
  return {
    issuer,
    tokenEndpoint,
    authentications: readAuthentications(options),
    wishFor,
    defaults: { audience, scope },
    targets: readTargets(options, wishFor),
    ...certificateSettings(options),
    store: options.store,
    refreshAheadSeconds: readNumber(options, 'refreshAheadSeconds', undefined),
    timeoutMilliseconds: readNumber(options, 'timeoutMilliseconds', 15_000),
    attemptTimeoutMilliseconds: readNumber(options, 'attemptTimeoutMilliseconds', 5_000),
    maximumRetries: readNumber(options, 'maximumRetries', 3),
    onWarning: options.onWarning ?? (() => {}),
    fetch: (options.fetch as typeof globalThis.fetch | undefined) ?? ((input, init) => globalThis.fetch(input, init)),
    now: options.now ?? Date.now,
    monotonicNow: options.monotonicNow ?? (() => performance.now()),
    random: options.random ?? Math.random,
    wait: options.wait ?? waitForReal,
  }
}

function readAuthentications(options: ClientOptions): Authentication[] {
  const { issuer, clientId, clientSecret, nextClientSecret, privateKey, jwtSource } = options
  const method =
    options.authMethod ?? (privateKey ? 'private_key_jwt' : jwtSource ? 'spiffe_jwt' : 'client_secret_basic')
  if (method === 'private_key_jwt') {
    if (privateKey === undefined) throw unusable('private_key_jwt needs privateKey')
    return [privateKeyJwt(clientId, issuer, privateKey)]
  }
  if (method === 'spiffe_jwt') {
    if (typeof jwtSource?.fetch !== 'function') throw unusable('spiffe_jwt needs jwtSource, such as createJwtSource()')
    return [spiffeJwt(clientId, issuer, jwtSource)]
  }
  if (certificateMethods.has(method)) {
    if (options.fetch === undefined)
      throw unusable(`${method} needs fetch: one that shows the certificate (createMtlsFetch)`)
    return [byCertificate(clientId)]
  }
  const secretMethods = { client_secret_basic: clientSecretBasic, client_secret_post: clientSecretPost }
  const authenticate = Object.hasOwn(secretMethods, method)
    ? secretMethods[method as keyof typeof secretMethods]
    : undefined
  if (authenticate === undefined) {
    throw unusable(
      'authMethod must be client_secret_basic, client_secret_post, private_key_jwt, spiffe_jwt, spiffe_x509, tls_client_auth or self_signed_tls_client_auth',
    )
  }
  const secrets = [clientSecret, nextClientSecret].filter((secret) => secret !== undefined)
  if (secrets.length === 0) throw unusable('give clientSecret, or privateKey for private_key_jwt')
  return secrets.map((secret) => authenticate(clientId, readSecret(secret)))
}

const certificateMethods: ReadonlySet<string> = new Set([
  'tls_client_auth',
  'self_signed_tls_client_auth',
  'spiffe_x509',
])

/** A token that is bound to a certificate dies with it, and is of no use to another process. */
function certificateSettings({ authMethod, fetch }: ClientOptions) {
  const useMtlsAlias = certificateMethods.has(authMethod ?? '')
  const { credentialVersion } = (fetch ?? {}) as CertificateFetch
  return useMtlsAlias && credentialVersion !== undefined ? { useMtlsAlias, credentialVersion } : { useMtlsAlias }
}

function readSecret(value: string | Secret): Secret {
  if (typeof value !== 'string' && !(value instanceof Secret)) throw unusable('the client secret must be a string')
  const secret = typeof value === 'string' ? new Secret(value) : value
  if (!/^[\x20-\x7e]+$/.test(secret.reveal())) {
    throw unusable('the client secret is empty or holds characters such as a line break; trim it where it is read')
  }
  return secret
}

function readNumber<Default>(options: ClientOptions, name: keyof ClientOptions, otherwise: Default): number | Default {
  const value = options[name]
  if (value === undefined) return otherwise
  if (typeof value === 'number' && value >= 0 && value <= 2_147_483_647) return value
  throw unusable(`${name} must be a number from 0 up`)
}

const known: Record<keyof ClientOptions, true> = {
  issuer: true,
  clientId: true,
  clientSecret: true,
  nextClientSecret: true,
  privateKey: true,
  jwtSource: true,
  authMethod: true,
  audience: true,
  scope: true,
  targets: true,
  origins: true,
  tokenEndpoint: true,
  allowInsecureIssuer: true,
  store: true,
  refreshAheadSeconds: true,
  timeoutMilliseconds: true,
  attemptTimeoutMilliseconds: true,
  maximumRetries: true,
  onWarning: true,
  fetch: true,
  now: true,
  monotonicNow: true,
  random: true,
  wait: true,
}

/** A misspelt option would silently not protect. */
function refuseUnknown(options: ClientOptions): void {
  if (typeof options !== 'object' || options === null) throw unusable('createClient needs an object of options')
  const unknown = Object.keys(options).find((name) => !Object.hasOwn(known, name))
  if (unknown !== undefined) {
    throw unusable(`createClient has no option ${JSON.stringify(unknown)}; it knows ${Object.keys(known).join(', ')}`)
  }
}

async function waitForReal(milliseconds: number, signal: AbortSignal): Promise<void> {
  await setTimeout(milliseconds, undefined, { signal }).catch(() => {})
}

function unusable(message: string): ClientError {
  return new ClientError('invalid_configuration', message)
}
