import {
  type CallBinding,
  createMd5TokenSigner,
  createServiceTokenSigner,
  type PrivateKey,
  type PublicJwk,
  Secret,
  serviceName,
} from '@countersign/tokens'
import { ClientError } from '../client-error.ts'
import { watchKeyFile } from './key-file.ts'
import { readServiceKey } from './service-key.ts'
import { shortNameOf } from './short-name.ts'

export type ServiceTokenProfile = 'm2m' | 'md5'

/** Signs the calls of one service with its own key. */
export interface ServiceSigner {
  /** The full name, which tokens carry as `sender`: `order-service`. */
  readonly name: string
  /** What `createSignedFetch` and `signAxios` send. */
  readonly profile: ServiceTokenProfile
  /** A new token for exactly this call; each attempt needs its own. */
  sign(call: { audience: string; binding: CallBinding; tenant?: string }): string
  /** A token of the compatibility profile: bound to a hash only, to no receiver, and good any number of times. */
  signMd5(requestHash: string): string
  /** The set to publish: the current key, and those whose last token may still live. */
  jwks(): { keys: PublicJwk[] }
  /** Stops watching the key file; what is signed stays as it is. */
  close(): void
}

export interface ServiceSignerOptions {
  /** `order` and `order-service` are the same. */
  name: string
  /** PKCS#8 PEM of an Ed25519 key, `\n` spelled out or not. This or `secretKeyFile`. */
  secretKey?: string | Secret
  /** A file with that PEM. It is watched: a new key in it signs at once. */
  secretKeyFile?: string
  /** How long a token lives: 1 to 900, default 60; md5 tokens 900 unless this is given. */
  lifetimeSeconds?: number
  /** Default `m2m`. */
  profile?: ServiceTokenProfile
  /** Milliseconds since the epoch. */
  now?: () => number
  /** Hears of a key file that could not be used; the old key signs on. Default: `process.emitWarning`. */
  onWarning?: (message: string) => void
}

/**
 * A signer with the key of a service. A key file is read here and then watched, so that a key is rotated by replacing
 * it: the new key signs from then on, and the old public key stays in `jwks()` until its last token has expired.
 * @throws ClientError `invalid_configuration`, which never quotes the key
 */
export function createServiceSigner(options: ServiceSignerOptions): ServiceSigner {
  const { profile = 'm2m', secretKeyFile, now = Date.now, onWarning = warn } = options
  if (profile !== 'm2m' && profile !== 'md5') throw unusable('profile must be m2m or md5')
  if (options.secretKey !== undefined && secretKeyFile !== undefined) {
    throw unusable('give secretKey or secretKeyFile, not both')
  }
  const name = readName(options.name)
  const lifetimeSeconds = readLifetime(options.lifetimeSeconds)
  const file = secretKeyFile === undefined ? undefined : watchKeyFile(secretKeyFile, rotate, onWarning)
  let current = signingWith(file?.key ?? readServiceKey(readSecret(options), 'secretKey (SERVICE_SECRET_KEY)'))
  let earlier: SigningKey[] = []

  return {
    name,
    profile,
    sign: (call) => current.sign(call),
    signMd5: (requestHash) => current.signMd5(requestHash),
    jwks: () => {
      forget()
      return { keys: [current, ...earlier].map(({ publicJwk }) => publicJwk) }
    },
    close: () => file?.close(),
  }

  function rotate(key: PrivateKey): void {
    forget()
    const known = earlier.find(({ publicJwk }) => publicJwk.kid === key.publicJwk.kid)
    earlier = [current, ...earlier].filter((one) => one !== known)
    current = known ?? signingWith(key)
  }

  function forget(): void {
    earlier = earlier.filter((key) => key.neededUntil() > now())
  }

  function signingWith(key: PrivateKey): SigningKey {
    return createSigningKey(name, key, lifetimeSeconds, now)
  }
}

interface SigningKey extends Pick<ServiceSigner, 'sign' | 'signMd5'> {
  publicJwk: PublicJwk
  /** When the last token that it signed is of no use to any receiver; milliseconds since the epoch. */
  neededUntil(): number
}

/** How far the clock of a receiver may be behind. */
const leewaySeconds = 10

function createSigningKey(
  name: string,
  key: PrivateKey,
  lifetimeSeconds: number | undefined,
  now: () => number,
): SigningKey {
  const lifetimes = { m2m: lifetimeSeconds ?? 60, md5: lifetimeSeconds ?? 900 }
  const signer = createServiceTokenSigner({ name, key, lifetimeSeconds: lifetimes.m2m, now })
  const md5 = createMd5TokenSigner({ name, key, lifetimeSeconds: lifetimes.md5, now })
  let neededUntil = 0
  return {
    publicJwk: key.publicJwk,
    neededUntil: () => neededUntil,
    sign(call) {
      keepFor(lifetimes.m2m)
      return signer.sign(call)
    },
    signMd5(requestHash) {
      keepFor(lifetimes.md5)
      return md5.sign(requestHash)
    },
  }

  function keepFor(seconds: number): void {
    neededUntil = Math.max(neededUntil, now() + (seconds + leewaySeconds) * 1000)
  }
}

function readName(name: string): string {
  const shortName = shortNameOf(name)
  if (shortName !== undefined) return serviceName(shortName)
  throw unusable(
    'name must be the short name of the service, 1 to 63 of a-z 0-9 - such as order; from the environment: ' +
      'SERVICE_SHORT_NAME',
  )
}

function readLifetime(seconds: number | undefined): number | undefined {
  if (seconds === undefined || (Number.isInteger(seconds) && seconds >= 1 && seconds <= 900)) return seconds
  throw unusable('lifetimeSeconds must be a whole number from 1 to 900; from the environment: M2M_TOKEN_TTL')
}

function readSecret({ secretKey }: ServiceSignerOptions): string {
  if (secretKey instanceof Secret) return secretKey.reveal()
  if (typeof secretKey === 'string' && secretKey.trim() !== '') return secretKey
  throw unusable(
    'the service has no key to sign with; set SERVICE_SECRET_KEY or SERVICE_SECRET_KEY_FILE (secretKey or ' +
      'secretKeyFile); make one with: countersign service keygen',
  )
}

function warn(message: string): void {
  process.emitWarning(message, { code: 'COUNTERSIGN_SERVICE_KEY' })
}

function unusable(message: string): ClientError {
  return new ClientError('invalid_configuration', message)
}
