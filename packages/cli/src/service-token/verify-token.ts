import {
  createServiceTokenVerifier,
  GuardConfigurationError,
  GuardError,
  type ReceivedCall,
  receiverFromEnvironment,
  type ServiceCaller,
} from '@countersign/guard'
import { wrongUse } from '../cli-error.ts'
import type { SignedCall } from './signed-call.ts'

export interface Receiver {
  /** Who verifies; default SERVICE_SHORT_NAME */
  as?: string
  /** Where senders' keys are, if JWKS_URL does not say it */
  jwksUrl?: string
  md5: boolean
  /** The tenant that the call is made for; undefined: any */
  tenant?: string
}

export interface Refusal {
  accepted: false
  receiver: string
  code: string
  /** What is at fault */
  reason: string
  detail: string
  /** It is the access lists that refuse the sender */
  isListed: boolean
  notices: readonly string[]
}

export type Verdict = Refusal | { accepted: true; receiver: string; caller: ServiceCaller; notices: readonly string[] }

/**
 * What the receiver would say of a token, as its environment is. The token is not used up: whether it was used before
 * only the receiver's own memory knows.
 * @throws CliError exit 2 where the environment describes no receiver
 */
export async function verifyToken(
  token: string,
  call: SignedCall,
  receiver: Receiver,
  environment = process.env,
): Promise<Verdict> {
  const { verifier, notices } = verifierOf(receiver, environment)
  try {
    const caller = await verifier.verify(token, receivedNow(call))
    if (receiver.tenant !== undefined && receiver.tenant !== caller.tenant) {
      const signedFor = caller.tenant === undefined ? 'no tenant' : `the tenant ${JSON.stringify(caller.tenant)}`
      return refused('InvalidM2MToken', 'tenant', `the token is for ${signedFor} (tenant)`, false)
    }
    return { accepted: true, receiver: verifier.name, caller, notices }
  } catch (error) {
    if (!(error instanceof GuardError)) throw error
    return refused(error.code, error.reason, detailOf(error), error.status === 403)
  }

  function refused(code: string, reason: string, detail: string, isListed: boolean): Refusal {
    return { accepted: false, receiver: verifier.name, code, reason, detail, isListed, notices }
  }
}

/** The guard tells a caller little; here the one who asks holds the token, and may hear what its cause says of it. */
function detailOf({ code, reason, message, cause }: GuardError): string {
  if (!(cause instanceof Error)) return message.replace(/\.$/, '')
  return code === 'unavailable' ? cause.message : `${cause.message} (${reason})`
}

function verifierOf({ as, jwksUrl, md5 }: Receiver, environment: NodeJS.ProcessEnv) {
  const settings = { ...environment }
  if (as !== undefined) settings.SERVICE_SHORT_NAME = as
  if (jwksUrl !== undefined) settings.JWKS_URL = jwksUrl
  if (!settings.SERVICE_SHORT_NAME?.trim()) {
    throw wrongUse('--as is missing; name the service that the token was sent to, such as --as inventory-service')
  }
  try {
    const { options, notices } = receiverFromEnvironment(settings)
    const uses = { use: () => 'first' as const }
    return { verifier: createServiceTokenVerifier({ ...options, md5, uses }), notices }
  } catch (error) {
    if (error instanceof GuardConfigurationError) {
      throw wrongUse(as === undefined ? error.message : error.message.replaceAll('SERVICE_SHORT_NAME', '--as'))
    }
    throw error
  }
}

/** As if the receiver got it this moment. */
function receivedNow(call: SignedCall): ReceivedCall {
  if (call.transport !== 'kafka') return call
  const place = { partition: 0, offset: 0n, group: 'countersign' }
  return { ...call, ...place, timestamp: Date.now(), timestampType: 'append' }
}
