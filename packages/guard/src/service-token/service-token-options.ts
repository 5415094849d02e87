import type { GuardedFetchOptions } from '@countersign/outbound'
import type { VerificationKey } from '@countersign/tokens'
import type { RequestLike } from '../bearer-token.ts'
import { GuardConfigurationError } from '../guard-error.ts'
import { type AccessDecision, type AccessLists, createAccessDecision } from './access-lists.ts'
import { configuredName } from './configured-name.ts'
import { createSenderKeys } from './sender-keys.ts'
import type { ServiceTokenValidation } from './validation.ts'

export interface ServiceTokenOptions extends AccessLists {
  /** This service, `inventory` or `inventory-service`: a token must be made for it. */
  readonly name: string
  /** What else a token may be made for. */
  readonly audiences?: readonly string[]
  /** The keys of senders: a URL with `$service` where the sender's short name goes, or any source. */
  readonly keys: SenderKeys | string
  /** Remembers used tokens; `createRedisSingleUse` and `createMemorySingleUse` of @countersign/limits do. */
  readonly uses: ServiceTokenUses
  /** True takes tokens of the md5 profile also; `publicBase` is the URL that their senders put before the path. */
  readonly md5?: boolean | { readonly publicBase?: string }
  /** How far the clocks may be apart. Default 10, at most 60. */
  readonly leewaySeconds?: number
  /** The most bytes of content that are read to check them. Default 1 MiB. */
  readonly maxBody?: number
  /** What a proxy in front took off the path, such as `/stock`. From a request only where the proxy has proven itself. */
  readonly mountedAt?: string | ((request: RequestLike) => string)
  /** Mirrored topics, and the topics that their records were signed for. */
  readonly topicAliases?: Readonly<Record<string, string>>
  /** What a sender may do, if it is known as a client. `sender` is the full name. Default: no scopes. */
  readonly scopesOf?: (sender: string) => readonly string[] | Promise<readonly string[]>
  /** Hears of every token that was checked, good or bad. */
  readonly onValidation?: (event: ServiceTokenValidation) => void
  readonly logger?: ValidationLogger
  /** For `keys` given as a URL. */
  readonly fetchOptions?: GuardedFetchOptions
  /** Milliseconds since the epoch. Default Date.now. */
  readonly now?: () => number
}

export interface SenderKeys {
  /**
   * The key that a sender's token asks for; undefined when the sender has no such key. `kid` is missing only in the md5
   * profile. Rejects with TokenError `unknown_key`, part `sender`, where there is no such sender, and with anything else
   * when it cannot be known.
   */
  keyFor(
    shortName: string,
    header: { kid?: string; alg: string },
  ): VerificationKey | undefined | Promise<VerificationKey | undefined>
  /** All keys of a sender, for md5 tokens that name none. */
  keysOf?(shortName: string): Promise<readonly VerificationKey[]>
}

export interface ServiceTokenUses {
  /** As `SingleUse.use` of @countersign/limits: only `first`, and `again` at the same place, may pass. */
  use(id: string, expiresAt: number, use: { issuedAt: number; place?: string }): UseOutcome | Promise<UseOutcome>
  /** A memory of this process alone says since when it remembers, in seconds since the epoch. */
  readonly startedAt?: number
}

export type UseOutcome = 'first' | 'again' | 'used' | 'unknowable'

export interface ValidationLogger {
  info(details: object, message: string): void
  warn(details: object, message: string): void
}

export interface ServiceTokenSettings {
  readonly name: string
  readonly audiences: readonly string[]
  readonly keys: SenderKeys
  readonly uses: ServiceTokenUses
  readonly refusalByLists: AccessDecision
  readonly md5: { readonly publicBase?: string } | undefined
  readonly leewaySeconds: number
  readonly maxBody: number
  readonly mountedAt: (request: RequestLike) => string
  readonly topicAliases: Readonly<Record<string, string>>
  readonly scopesOf: ServiceTokenOptions['scopesOf']
  readonly onValidation: ServiceTokenOptions['onValidation']
  readonly logger: ValidationLogger | undefined
  readonly now: () => number
}

/** The options with defaults filled in. Throws GuardConfigurationError for what cannot be safe. */
export function readServiceTokenOptions(options: ServiceTokenOptions): ServiceTokenSettings {
  const name = ownName(options.name)
  const { md5 = false, now = Date.now } = options
  if (typeof options.uses?.use !== 'function') {
    throw new GuardConfigurationError(
      '"uses" is missing: without a memory of used tokens each would pass again; give createRedisSingleUse or createMemorySingleUse of @countersign/limits',
    )
  }
  const refusalByLists = createAccessDecision(options)
  return {
    name,
    audiences: [name, ...(options.audiences ?? [])],
    keys: keysOf(options),
    uses: options.uses,
    refusalByLists,
    md5: md5 === false ? undefined : md5 === true ? {} : md5,
    leewaySeconds: inRange(options.leewaySeconds ?? 10, 0, 60, 'leewaySeconds'),
    maxBody: inRange(options.maxBody ?? 1_048_576, 0, 2 ** 30, 'maxBody'),
    mountedAt: mountingOf(options.mountedAt ?? ''),
    topicAliases: options.topicAliases ?? {},
    scopesOf: options.scopesOf,
    onValidation: options.onValidation,
    logger: options.logger,
    now,
  }
}

/** What the program should be told when it starts. */
export function noticesOf(options: ServiceTokenOptions): readonly string[] {
  const { blockList = [], allowList, enforceLists = true, uses } = options
  const notices: string[] = []
  const listed = blockList.length > 0 || allowList !== undefined
  if (!enforceLists && listed) notices.push('the access lists for service tokens are off in this environment')
  if (enforceLists && uses.startedAt !== undefined) {
    notices.push(
      'used service tokens are remembered in this process only: behind several replicas a token passes once at each; share a Redis',
    )
  }
  return notices
}

function ownName(given: string): string {
  if (typeof given !== 'string') {
    throw new GuardConfigurationError('"name" is missing: give the name of this service, such as inventory')
  }
  return configuredName(given, '"name" must be this service\'s')
}

function keysOf({ keys, fetchOptions, allowList, now }: ServiceTokenOptions): SenderKeys {
  if (typeof keys === 'string') return createSenderKeys({ template: keys, fetchOptions, expected: allowList, now })
  if (typeof keys?.keyFor === 'function') return keys
  throw new GuardConfigurationError(
    '"keys" is missing: without the keys of senders nothing can be checked; give a URL such as https://auth.example.com/$service/.well-known/jwks.json',
  )
}

function mountingOf(given: string | ((request: RequestLike) => string)): (request: RequestLike) => string {
  if (typeof given === 'function') return given
  if (!isMounting(given)) {
    throw new GuardConfigurationError('"mountedAt" must be a path such as /stock, without a slash at its end')
  }
  return () => given
}

/** Nothing, or a path that can stand before another. */
export function isMounting(text: unknown): text is string {
  return typeof text === 'string' && (text === '' || /^(?:\/[^\s/?#]+)+$/.test(text))
}

function inRange(value: number, least: number, most: number, option: string): number {
  if (Number.isFinite(value) && value >= least && value <= most) return value
  throw new GuardConfigurationError(`"${option}" must be a number from ${least} to ${most}`)
}
