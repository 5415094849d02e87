import { pino } from 'pino'
import type { ServiceLogger } from '../service-context.ts'
import { withoutTokens } from './without-tokens.ts'

/** The log of a service: JSON lines on stdout, none of which can hold a token. */
export function createLogger(name: string, level: string, write?: (line: string) => void): ServiceLogger {
  const options = { name, level, hooks: { streamWrite: withoutTokens } }
  return write === undefined ? pino(options) : pino(options, { write })
}
