import { readFileSync } from 'node:fs'
import { createClient } from '@countersign/client'
import { createAuditReporter, type ServiceTokenValidation } from '@countersign/guard'
import { Secret } from '@countersign/tokens'
import type { ServiceLogger } from './service-context.ts'
import { ServiceError } from './service-error.ts'
import type { Environment } from './settings/settings.ts'

/** Where refused service tokens are reported, beside the log. */
export interface AuditTrail {
  report(event: ServiceTokenValidation): void
  /** Sends what still waits. */
  close(): Promise<void>
}

/**
 * The audit trail of the Countersign server at `AUDIT_ISSUER`, where the client `AUDIT_CLIENT_ID` with
 * `AUDIT_CLIENT_SECRET` (or `_FILE`) may `audit:write`; none of them set: no trail but the log. The names are its own: who
 * has the command line's credentials in his shell must not report as administrator.
 * Throws ServiceError `invalid_environment`, and ClientError `invalid_configuration` for an issuer that cannot be used.
 */
export function createAuditTrail(environment: Environment, service: string, log: ServiceLogger): AuditTrail {
  const issuer = environment.AUDIT_ISSUER || undefined
  const clientId = environment.AUDIT_CLIENT_ID || undefined
  const clientSecret = secretOf(environment)
  if (issuer === undefined && clientId === undefined && clientSecret === undefined) return noTrail
  if (issuer === undefined || clientId === undefined || clientSecret === undefined) {
    throw unusable(
      'AUDIT_ISSUER, AUDIT_CLIENT_ID and AUDIT_CLIENT_SECRET (or _FILE) go together: refused tokens ' +
        'are reported there; set all of them, or none',
    )
  }
  const client = createClient({
    issuer,
    clientId,
    clientSecret,
    audience: 'urn:countersign:admin',
    scope: 'audit:write',
    origins: [new URL(issuer).origin],
  })
  const reporter = createAuditReporter({
    url: issuer,
    fetch: client.fetch,
    service,
    onProblem: (message) => log.warn({}, message),
  })
  return {
    report: reporter,
    async close() {
      await reporter.close()
      client.close()
    },
  }
}

const noTrail: AuditTrail = { report() {}, async close() {} }

function secretOf(environment: Environment): Secret | undefined {
  const text = environment.AUDIT_CLIENT_SECRET || undefined
  const file = environment.AUDIT_CLIENT_SECRET_FILE || undefined
  if (text !== undefined && file !== undefined)
    throw unusable('AUDIT_CLIENT_SECRET and AUDIT_CLIENT_SECRET_FILE are both set; unset one of them')
  if (file === undefined) return text === undefined ? undefined : new Secret(text)
  try {
    return new Secret(readFileSync(file, 'utf8').trim())
  } catch (error) {
    throw unusable(`AUDIT_CLIENT_SECRET_FILE cannot be read: ${(error as NodeJS.ErrnoException).code}`)
  }
}

function unusable(message: string): ServiceError {
  return new ServiceError('invalid_environment', message)
}
