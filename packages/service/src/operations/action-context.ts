/**
 * What `this` is in the expressions of an API's actions: the members of the input, over them those of the handler's
 * result, and both whole as `input` and `result`. Who was verified is added by the actions themselves.
 */
export function actionContext(input: object, result: unknown): object {
  const members = typeof result === 'object' && result !== null && !Array.isArray(result) ? result : {}
  return { ...input, ...members, input, result }
}
