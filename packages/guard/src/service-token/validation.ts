import type { GuardError } from '../guard-error.ts'
import type { Transport } from './received-call.ts'
import type { ServiceCaller } from './service-caller.ts'
import type { ValidationLogger } from './service-token-options.ts'

/** What became of one service token. */
export interface ServiceTokenValidation {
  /** `unavailable`: keys or the memory of used tokens could not be had, so that nothing is said of the token. */
  readonly outcome: 'accepted' | 'refused' | 'unavailable'
  readonly transport: Transport
  /** `m2m` for what is none of both. */
  readonly profile: 'm2m' | 'md5'
  /** The full name of this service. */
  readonly receiver: string
  /** The full name of the sender, only where the signature has proven it. */
  readonly sender?: string
  /** Whom the token names, well-formed but not proven. For logs; as a metric label it would let strangers fill the memory. */
  readonly claimedSender?: string
  /** What was at fault; left out where it was accepted. */
  readonly reason?: string
  /** Method and path, rpc, or topic; never the query. */
  readonly target: string
  readonly tokenId?: string
  readonly caller?: ServiceCaller
  readonly error?: GuardError
}

/** Tells the log and whoever listens. Neither can change the decision, not even by throwing. */
export function report(
  event: ServiceTokenValidation,
  { logger, onValidation }: { logger?: ValidationLogger; onValidation?: (event: ServiceTokenValidation) => void },
): void {
  if (logger !== undefined) quietly(() => log(event, logger))
  if (onValidation !== undefined) quietly(() => onValidation(event))
}

function log(event: ServiceTokenValidation, logger: ValidationLogger): void {
  const { caller: _caller, error, ...details } = event
  if (error === undefined) {
    logger.info(details, 'service token accepted')
    return
  }
  const cause = error.cause instanceof Error ? { cause: error.cause.message } : {}
  const message = event.outcome === 'refused' ? 'service token refused' : 'service token not checked'
  logger.warn({ ...details, detail: error.message, ...cause }, message)
}

function quietly(work: () => void): void {
  try {
    work()
  } catch {
    // What went wrong in there is the listener's to report.
  }
}
