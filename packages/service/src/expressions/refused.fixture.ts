import { ServiceError } from '../service-error.ts'

/** The error of something that must fail, and must fail as the kit's own. */
export function refused(work: () => unknown): ServiceError {
  try {
    work()
  } catch (error) {
    if (error instanceof ServiceError) return error
    throw error
  }
  throw new Error('nothing was refused')
}
