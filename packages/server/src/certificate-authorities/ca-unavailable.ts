import { Problem } from '../http/problem.ts'

/** Nothing can be issued just now; what was issued goes on being verified. The message says what to do. */
export class CaUnavailable extends Error {
  readonly code = 'ca_unavailable'
  constructor(message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'CaUnavailable'
  }
}

/** Tells administrators, whose it is to mend, in the answer. @throws Problem `ca_unavailable` */
export async function sayingWhy<T>(work: Promise<T>): Promise<T> {
  try {
    return await work
  } catch (error) {
    if (error instanceof CaUnavailable) throw new Problem(503, error.code, error.message)
    throw error
  }
}
