import { serviceName, TokenError } from '@countersign/tokens'
import { GuardConfigurationError } from '../guard-error.ts'

/**
 * The full name of a service that a list or a variable names. One that nobody can have would be taken for protection, so
 * it is told at once: throws GuardConfigurationError, which begins with `place`.
 */
export function configuredName(name: string, place: string): string {
  try {
    return serviceName(name)
  } catch (error) {
    if (!(error instanceof TokenError)) throw error
    throw new GuardConfigurationError(`${place}: ${error.message}`)
  }
}
