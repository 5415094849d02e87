import { setLogger } from '@grpc/grpc-js'
import { withoutTokens } from '../log/without-tokens.ts'
import type { ServiceLogger } from '../service-context.ts'

/**
 * Takes what grpc-js would print into the service's log. It quotes metadata that it drops for its characters, a token
 * among it. There is one logger for the whole process: the service that starts last has it.
 */
export function logOfLibrary(log: ServiceLogger): void {
  const line = (level: 'debug' | 'info' | 'warn') => (message: unknown) =>
    log[level]({ library: 'grpc-js' }, withoutTokens(String(message)))
  setLogger({ error: line('warn'), info: line('info'), debug: line('debug') })
}
