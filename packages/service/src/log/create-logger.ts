import { pino } from 'pino'
import type { ServiceLogger } from '../service-context.ts'
import { describeError } from './describe-error.ts'
import { withoutTokens } from './without-tokens.ts'

/** The log of a service: JSON lines on stdout, none of which can hold a token. */
export function createLogger(name: string, level: string, write?: (line: string) => void): ServiceLogger {
  // What is described already stays as it is: pino's own description would call every error an Object.
  const err = (error: unknown) => (error instanceof Error ? describeError(error) : error)
  const options = { name, level, serializers: { err }, hooks: { streamWrite: withoutTokens } }
  return write === undefined ? pino(options) : pino(options, { write })
}
