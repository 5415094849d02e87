/**
 * An error and all that it was made from, by `cause` or `errors`, the outermost first. Clients of brokers and databases
 * wrap what went wrong, and what says whether another try may help stands somewhere in the chain.
 */
export function errorChain(error: unknown, depth = 0): Record<string, unknown>[] {
  if (typeof error !== 'object' || error === null || depth > 8) return []
  const { cause, errors } = error as { cause?: unknown; errors?: unknown }
  const inner = [...(Array.isArray(errors) ? errors : []), cause]
  return [error as Record<string, unknown>, ...inner.flatMap((one) => errorChain(one, depth + 1))]
}
