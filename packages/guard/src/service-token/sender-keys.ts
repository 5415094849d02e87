import { createJwksSource, type GuardedFetchOptions, type JwksSource, OutboundError } from '@countersign/outbound'
import { isServiceShortName, serviceShortName, TokenError, type VerificationKey } from '@countersign/tokens'
import { readKeysUrl } from './keys-url.ts'
import type { SenderKeys } from './service-token-options.ts'

export interface SenderKeysOptions {
  /** The operator's URL with `$service` in it; private addresses and http are his to name. */
  readonly template: string
  readonly fetchOptions?: GuardedFetchOptions
  /** Senders that are looked up however many strangers ask at the same time. */
  readonly expected?: readonly string[]
  /** Milliseconds that only go forward; default the process's monotonic clock. */
  readonly now?: () => number
}

/**
 * The published keys of every sender, each from its own set and no other. A set is kept fresh as any JWKS. What a
 * stranger's token makes us do is bounded: names never seen are looked up at most 100 at once and 10 a second in total,
 * and that a name has no set is remembered for half a minute.
 */
export function createSenderKeys(options: SenderKeysOptions): Required<SenderKeys> {
  const urlOf = readKeysUrl(options.template)
  const { now = () => performance.now() } = options
  const fetchOptions = { allowPrivateAddresses: true, allowHttp: true, ...options.fetchOptions }
  const expected = new Set(options.expected?.map(serviceShortName))
  const known = new Map<string, JwksSource>()
  const asked = new Map<string, Promise<JwksSource>>()
  const failed = new Map<string, { error: unknown; until: number }>()
  const lookups = createAllowance(now)

  function sourceOf(shortName: string): JwksSource | Promise<JwksSource> {
    const source = known.get(shortName)
    return source ?? asked.get(shortName) ?? lookUp(shortName)
  }

  function lookUp(shortName: string): Promise<JwksSource> {
    const failure = failed.get(shortName)
    if (failure !== undefined && now() < failure.until) return Promise.reject(failure.error)
    const url = isServiceShortName(shortName) ? urlOf(shortName) : undefined
    if (url === undefined) return Promise.reject(unknownSender())
    if (!expected.has(shortName) && !lookups.take()) return Promise.reject(new Error(tooManyStrangers))
    const looking = open(shortName, url).finally(() => asked.delete(shortName))
    asked.set(shortName, looking)
    return looking
  }

  async function open(shortName: string, url: string): Promise<JwksSource> {
    const source = createJwksSource({ url, fetchOptions, now: options.now, cooldownSeconds })
    try {
      await source.keys()
    } catch (cause) {
      const absent = isAbsent(cause)
      const error = absent ? unknownSender() : cause
      const until = now() + (absent ? absentMilliseconds : outageMilliseconds)
      keep(failed, shortName, { error, until }, mostFailures)
      throw error
    }
    failed.delete(shortName)
    keep(known, shortName, source, mostSenders)
    return source
  }

  return {
    keyFor(shortName, header) {
      const source = sourceOf(shortName)
      if (source instanceof Promise) return source.then((found) => found.keyFor(header))
      return source.keyForSync(header) ?? source.keyFor(header)
    },
    async keysOf(shortName): Promise<readonly VerificationKey[]> {
      return (await sourceOf(shortName)).keys()
    },
  }
}

const tooManyStrangers = 'too many senders that were never seen ask at once'
const mostSenders = 10_000
const mostFailures = 1_000
const absentMilliseconds = 30_000
const outageMilliseconds = 5_000
/** A new key signs at once. Whoever makes us look for keys that are not there delays its first look no longer than this. */
const cooldownSeconds = 2

/** The oldest goes first; what is forgotten is merely looked up again. */
function keep<T>(kept: Map<string, T>, name: string, value: T, most: number): void {
  kept.delete(name)
  if (kept.size >= most) kept.delete(kept.keys().next().value as string)
  kept.set(name, value)
}

/** No such set, and no such host where the name is a label of it; anything else is an outage. */
function isAbsent(error: unknown): boolean {
  if (!(error instanceof OutboundError)) return false
  if (error.status === 404 || error.status === 410) return true
  return error.code === 'unreachable' && (error.cause as { code?: string } | undefined)?.code === 'ENOTFOUND'
}

function unknownSender(): TokenError {
  return new TokenError('unknown_key', 'there is no set of keys for this sender', 'sender')
}

const burst = 100
const aSecond = 10

function createAllowance(now: () => number): { take(): boolean } {
  let left = burst
  let at = now()
  return {
    take() {
      const elapsed = Math.max(0, now() - at)
      at = now()
      left = Math.min(burst, left + (elapsed / 1000) * aSecond)
      if (left < 1) return false
      left -= 1
      return true
    },
  }
}
