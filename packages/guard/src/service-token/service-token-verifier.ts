import {
  isServiceToken,
  md5TokenSender,
  type ParsedJws,
  parseJwt,
  type ServiceTokenReason,
  serviceName,
  TokenError,
  type VerificationKey,
} from '@countersign/tokens'
import type { RequestLike } from '../bearer-token.ts'
import type { GuardError } from '../guard-error.ts'
import { keyOf, scopesOf, useOnce } from './lookups.ts'
import type { ReceivedCall, Transport } from './received-call.ts'
import { type PendingCall, requestCall } from './request-call.ts'
import { type ServiceCaller, toServiceCaller } from './service-caller.ts'
import {
  noticesOf,
  readServiceTokenOptions,
  type ServiceTokenOptions,
  type ServiceTokenSettings,
} from './service-token-options.ts'
import { invalidServiceToken, serviceTokenRefusal } from './service-token-refusal.ts'
import { type CheckedToken, isSignedWith, profileOf, type TokenProfile } from './token-profile.ts'
import { report } from './validation.ts'

export interface ServiceTokenVerifier {
  /** The full name of this service. */
  readonly name: string
  /**
   * The caller behind a token that came with `call`. Rejects with GuardError: `InvalidM2MToken` (401; 403 where the access
   * lists refuse the sender) with the `reason` that is at fault, or `unavailable` (503).
   */
  verify(token: string, call: ReceivedCall): Promise<ServiceCaller>
  /** The same for an HTTP request, whose content is read last. The same request may be asked about again. */
  verifyRequest(token: string, request: RequestLike): Promise<ServiceCaller>
  /** The error for a call whose token cannot even be read, such as one with two of them; counted as any other. */
  refuse(call: { transport: Transport; target: string }, reason: ServiceTokenReason, message?: string): GuardError
}

/**
 * Creates what verifies request-bound service tokens for one receiver. The access lists are looked at only for what is
 * proven, and a token is used up only when all else holds. Throws GuardConfigurationError when the options cannot be safe.
 */
export function createServiceTokenVerifier(options: ServiceTokenOptions): ServiceTokenVerifier {
  const settings = readServiceTokenOptions(options)
  for (const notice of noticesOf(options)) settings.logger?.warn({ receiver: settings.name }, notice)
  const requests = new WeakMap<object, { token: string; caller: Promise<ServiceCaller> }>()

  return {
    name: settings.name,
    verify: (token, call) =>
      verifyAndReport(token, { ...describe(call), isLong: false, receive: async () => call }, settings),
    verifyRequest(token, request) {
      const identity = request.incoming
      const asked = identity === undefined ? undefined : requests.get(identity)
      if (asked?.token === token) return asked.caller
      const caller = verifyAndReport(token, requestCall(request, settings), settings)
      if (identity !== undefined) requests.set(identity, { token, caller })
      return caller
    },
    refuse(call, reason, message) {
      const error = invalidServiceToken({ reason, realm: settings.name, message })
      report({ outcome: 'refused', profile: 'm2m', receiver: settings.name, ...call, reason, error }, settings)
      return error
    },
  }
}

/** What is known of a token so far, for the report. */
interface Progress {
  profile: 'm2m' | 'md5'
  claimedSender?: string | undefined
  sender?: string
  tokenId?: string
}

async function verifyAndReport(
  token: string,
  call: PendingCall,
  settings: ServiceTokenSettings,
): Promise<ServiceCaller> {
  const { name } = settings
  const { transport, target } = call
  const progress: Progress = { profile: 'm2m' }
  try {
    const caller = await verify(token, call, settings, progress)
    report({ outcome: 'accepted', transport, target, receiver: name, ...progress, caller }, settings)
    return caller
  } catch (thrown) {
    const error = serviceTokenRefusal(thrown, name)
    const outcome = error.code === 'unavailable' ? 'unavailable' : 'refused'
    report({ outcome, transport, target, receiver: name, ...progress, reason: error.reason, error }, settings)
    throw error
  }
}

/** In this order: form, signature, times, audience, binding, access lists, single use. */
async function verify(
  token: string,
  call: PendingCall,
  settings: ServiceTokenSettings,
  progress: Progress,
): Promise<ServiceCaller> {
  const parsed = parseJwt(token)
  const profile = profileOf(parsed, settings)
  progress.profile = profile.name
  if (!isServiceToken(parsed)) progress.claimedSender = formerSender(parsed)
  const shortName = profile.senderOf(parsed)
  const sender = serviceName(shortName)
  progress.claimedSender = sender
  const key = await keyOf(parsed, shortName, profile, settings)
  if (call.isLong && !isSignedWith(parsed, key)) throw new TokenError('invalid_signature', 'signed by another key')
  const received = await call.receive()
  const { payload, usedOnce } = checked(parsed, key, received, profile, settings, progress)
  refuseByLists(sender, settings)
  const scopes = await scopesOf(sender, settings)
  if (usedOnce !== undefined) await useOnce(usedOnce, received, settings)
  return toServiceCaller(payload, key, scopes, settings.name)
}

/** Who still sends md5 tokens where none are taken any more must stand in the log, to be found. */
function formerSender(parsed: ParsedJws): string | undefined {
  try {
    return serviceName(md5TokenSender(parsed))
  } catch {
    return undefined
  }
}

function checked(
  parsed: ParsedJws,
  key: VerificationKey,
  received: ReceivedCall,
  profile: TokenProfile,
  settings: ServiceTokenSettings,
  progress: Progress,
): CheckedToken {
  try {
    const token = profile.check(parsed, key, received, settings)
    prove(token.payload)
    return token
  } catch (error) {
    // Who is refused for what he signed is no stranger.
    if (error instanceof TokenError && error.code !== 'invalid_signature' && isSignedWith(parsed, key))
      prove(parsed.claims)
    throw error
  }

  function prove({ jti }: Readonly<Record<string, unknown>>): void {
    progress.sender = progress.claimedSender
    if (typeof jti === 'string' && jti.length <= 128) progress.tokenId = jti
  }
}

function refuseByLists(sender: string, { refusalByLists, name }: ServiceTokenSettings): void {
  const message = refusalByLists(sender)
  if (message !== undefined) throw invalidServiceToken({ reason: 'sender', realm: name, message, status: 403 })
}

function describe(call: ReceivedCall): { transport: Transport; target: string } {
  if (call.transport === 'http') return { transport: 'http', target: `${call.method} ${call.target.split('?', 1)[0]}` }
  return { transport: call.transport, target: call.transport === 'grpc' ? call.method : call.topic }
}
