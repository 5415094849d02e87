import { GuardError } from '@countersign/guard'
import { Problem } from './problem.ts'

/** What went wrong with a call and may be told to whoever calls. All else is logged, and answered in general words. */
export type Refusal = GuardError | Problem

export function isRefusal(error: unknown): error is Refusal {
  return error instanceof GuardError || error instanceof Problem
}

/** One word for the log: `replayed`, `out_of_stock`. */
export function reasonOfRefusal(refusal: Refusal): string {
  return refusal instanceof GuardError ? refusal.reason : refusal.code
}
