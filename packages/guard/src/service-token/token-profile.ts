import {
  checkMd5Token,
  checkServiceToken,
  isServiceToken,
  type JwtClaims,
  md5MessageHash,
  md5RequestHashes,
  md5TokenSender,
  type ParsedJws,
  parseJson,
  type ServiceTokenClaims,
  serviceTokenSender,
  TokenError,
  type VerificationKey,
  verifySignature,
} from '@countersign/tokens'
import { audiencesOf, bindingOf, type ReceivedCall, timeToCheck } from './received-call.ts'
import type { ServiceTokenPayload } from './service-caller.ts'
import type { SenderKeys, ServiceTokenSettings } from './service-token-options.ts'

/** One way to check a token; which one is the token's `typ` to say, and it is never tried with the other. */
export interface TokenProfile {
  readonly name: 'm2m' | 'md5'
  /** The short name of whoever the token says it is from; its form is checked, and nothing is proven. */
  senderOf(parsed: ParsedJws): string
  keyFor(parsed: ParsedJws, shortName: string, keys: SenderKeys): Promise<VerificationKey | undefined>
  /** Signature, times, audience, binding. Throws TokenError. */
  check(parsed: ParsedJws, key: VerificationKey, call: ReceivedCall, settings: ServiceTokenSettings): CheckedToken
}

/** A token that is right in itself. */
export interface CheckedToken {
  readonly payload: ServiceTokenPayload
  /** The claims by which its use is remembered; undefined for tokens that may be used again. */
  readonly usedOnce: ServiceTokenClaims | undefined
}

export function profileOf(parsed: ParsedJws, { md5 }: ServiceTokenSettings): TokenProfile {
  return isServiceToken(parsed) || md5 === undefined ? m2mProfile : md5Profile
}

const m2mProfile: TokenProfile = {
  name: 'm2m',
  senderOf: serviceTokenSender,
  keyFor: async ({ header }, shortName, keys) => keys.keyFor(shortName, header),
  check(parsed, key, call, settings) {
    const { audiences, topicAliases, leewaySeconds } = settings
    const rules = {
      audiences: audiencesOf(call, audiences, topicAliases),
      binding: bindingOf(call, topicAliases),
      leewaySeconds,
    }
    const claims = checkServiceToken(parsed, key, rules, timeOf(call, parsed.claims, settings))
    return { payload: claims, usedOnce: claims }
  },
}

const md5Profile: TokenProfile = {
  name: 'md5',
  senderOf: md5TokenSender,
  async keyFor(parsed, shortName, keys) {
    if (parsed.header.kid !== undefined || keys.keysOf === undefined) return keys.keyFor(shortName, parsed.header)
    const candidates = (await keys.keysOf(shortName)).slice(0, mostCandidates)
    return candidates.find((key) => isSignedWith(parsed, key)) ?? candidates[0]
  },
  check(parsed, key, call, settings) {
    const rules = { hashes: hashesOf(call, settings), leewaySeconds: settings.leewaySeconds }
    return { payload: checkMd5Token(parsed, key, rules, timeOf(call, parsed.claims, settings)), usedOnce: undefined }
  },
}

/** While a service changes its key it publishes two, and an md5 token need not say which it means. */
const mostCandidates = 5

export function isSignedWith(parsed: ParsedJws, key: VerificationKey): boolean {
  try {
    verifySignature(parsed, key, ['EdDSA', 'Ed25519'])
    return true
  } catch {
    return false
  }
}

function hashesOf(call: ReceivedCall, { md5 }: ServiceTokenSettings): readonly string[] {
  if (call.transport === 'http') return md5RequestHashes(call, md5?.publicBase)
  if (call.transport === 'kafka') return [md5MessageHash(call.message ?? objectIn(call.value))]
  throw new TokenError('binding_mismatch', 'the md5 profile has no form for gRPC', 'typ')
}

function objectIn(value: Uint8Array | null): object {
  try {
    const parsed = parseJson(Buffer.from(value ?? []), { maximumBytes: value?.length })
    if (typeof parsed === 'object' && parsed !== null) return parsed
  } catch {
    // As below.
  }
  throw new TokenError('binding_mismatch', 'the md5 profile binds JSON objects only', 'digest')
}

function timeOf(call: ReceivedCall, claims: JwtClaims, { now, leewaySeconds }: ServiceTokenSettings): number {
  return timeToCheck(call, claims, now() / 1000, leewaySeconds)
}
