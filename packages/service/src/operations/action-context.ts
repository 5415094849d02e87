import type { Admission } from '../admission.ts'

/**
 * What `this` is in the expressions of an API's actions: the members of the input, over them those of the handler's
 * result, and both whole as `input` and `result`. `caller`, `session` and `tenant` are what was verified, whatever the
 * input called so.
 */
export function actionContext(input: object, result: unknown, admission: Admission): object {
  const { caller, session, tenant, m2mPayload } = admission
  const members = typeof result === 'object' && result !== null && !Array.isArray(result) ? result : {}
  return { ...input, ...members, input, result, caller, session, tenant, m2mPayload }
}
