import type { IncomingHttpHeaders } from 'node:http'
import type { IncomingGrpcCall } from '@countersign/guard/grpc'
import type { Metadata } from '@grpc/grpc-js'
import type { Credentials } from '../admission.ts'
import type { RequestHead } from '../request-head.ts'
import { findSessionToken } from '../session/session-token.ts'
import { namedTenants } from '../tenant/named-tenants.ts'
import type { TransportRuntime } from '../transport.ts'

/** The credentials of a gRPC call, none of them looked at before `admit` asks. A session's token is in `authorization`. */
export function grpcCredentials(
  incoming: IncomingGrpcCall,
  host: string,
  { settings, verifier, admission }: TransportRuntime,
): Credentials {
  const request = requestOf(incoming.metadata, host)
  const { realm } = admission.tenants
  return {
    carriesServiceToken: () => incoming.carriesServiceToken,
    verifyServiceToken: () => incoming.verifyServiceToken(verifier!),
    sessionToken: () => findSessionToken(request, { cookie: settings.sessionCookie, origins: [], realm }),
    namedTenants: () => namedTenants(request, { header: settings.tenantHeader, host: settings.tenantHost }),
  }
}

/** The metadata as an HTTP request's headers. Cookies are for browsers, which do not speak gRPC. */
function requestOf(metadata: Metadata, host: string): RequestHead {
  const headers: IncomingHttpHeaders = { host }
  const rawHeaders: string[] = []
  for (const [name, first] of Object.entries(metadata.getMap())) {
    if (typeof first !== 'string' || name === 'cookie' || name === 'host') continue
    headers[name] = first
    for (const value of metadata.get(name)) rawHeaders.push(name, String(value))
  }
  return { method: 'POST', headers, rawHeaders }
}
