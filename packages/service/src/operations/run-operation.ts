import { GuardError } from '@countersign/guard'
import { ActionError } from '../actions/action-error.ts'
import { describeError } from '../log/describe-error.ts'
import { Problem } from '../problem.ts'
import type { ServiceLogger } from '../service-context.ts'

/**
 * Runs what the service's author wrote. Only a Problem gets out; whatever else is thrown is logged in full and told to
 * whoever calls as a number to ask for.
 */
export async function runOperation<Result>(
  operation: string,
  log: ServiceLogger,
  work: () => Result | Promise<Result>,
): Promise<Result> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof Problem || error instanceof GuardError) throw error
    const incident = crypto.randomUUID()
    log.error({ operation, incident, err: describeError(error) }, 'an operation failed')
    if (error instanceof ActionError)
      throw new Problem(502, 'action_failed', `${error.summary}; the service's log says why under this incident`, {
        action: error.action,
        incident,
      })
    throw new Problem(500, 'operation_failed', "the operation failed; the service's log says why under this incident", {
      incident,
    })
  }
}
