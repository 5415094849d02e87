import type { Admission } from '../admission.ts'
import type { ServiceDocument } from '../document/service-document.ts'
import type { ServiceActions } from '../service-context.ts'
import { ServiceError } from '../service-error.ts'
import { ActionError } from './action-error.ts'
import type { ActionRun, ActionRuntime } from './action-runtime.ts'
import { createApiCall } from './api-call-action.ts'
import { createInterserviceCall } from './interservice-call-action.ts'
import { createPublishEvent } from './publish-event-action.ts'

export interface Actions {
  /** For the handlers of one call: what was verified of it is in every context, and its tenant is passed on. */
  forCall(admission: Admission): ServiceActions
  /** For jobs outside of calls: `tenant` of the context is passed on. */
  readonly alone: ServiceActions
}

/** The document's actions, by name. */
export function createActions(actions: ServiceDocument['actions'], runtime: ActionRuntime): Actions {
  const runs = new Map<string, ActionRun>([
    ...actions.apiCallActions.map((action) => [action.name, createApiCall(action, runtime)] as const),
    ...actions.interserviceCallActions.map((action) => [action.name, createInterserviceCall(action, runtime)] as const),
    ...actions.publishEventActions.map((action) => [action.name, createPublishEvent(action, runtime)] as const),
  ])
  return {
    forCall: ({ caller, session, tenant, m2mPayload }) =>
      byName((run, context) => run({ ...context, caller, session, tenant, m2mPayload }, { tenant })),
    alone: byName((run, context) => {
      const { tenant } = context as { tenant?: unknown }
      return run(context, { tenant: typeof tenant === 'string' ? tenant : undefined })
    }),
  }

  function byName(start: (run: ActionRun, context: object) => Promise<unknown>): ServiceActions {
    const entries = [...runs].map(([name, run]) => [
      name,
      async (context: object = {}) => start(run, context).catch((error) => fail(name, error)),
    ])
    return Object.freeze(Object.assign(Object.create(null), Object.fromEntries(entries)))
  }
}

/** An expression that fails over what it was given is the action's failure. */
function fail(name: string, error: unknown): never {
  if (error instanceof ServiceError) throw new ActionError(name, 'bad_value', error.message, { cause: error })
  throw error
}
