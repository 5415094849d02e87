import type { IncomingMessage } from 'node:http'
import type { Credentials } from '../admission.ts'
import { findSessionToken } from '../session/session-token.ts'
import { namedTenants } from '../tenant/named-tenants.ts'
import type { RestRuntime } from './rest-transport.ts'

/** The credentials of an HTTP request, none of them looked at before `admit` asks. */
export function restCredentials(
  request: IncomingMessage,
  content: () => Promise<Buffer>,
  { settings, realm, serviceTokens }: RestRuntime,
): Credentials {
  return {
    carriesServiceToken: () => serviceTokens.carries(request),
    verifyServiceToken: () => serviceTokens.verify(request, content),
    sessionToken: () =>
      findSessionToken(request, { cookie: settings.sessionCookie, origins: settings.sessionOrigins, realm }),
    namedTenants: () => namedTenants(request, { header: settings.tenantHeader, host: settings.tenantHost }),
  }
}
