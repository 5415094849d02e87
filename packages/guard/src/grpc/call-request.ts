import type { Metadata } from '@grpc/grpc-js'
import type { RequestLike } from '../bearer-token.ts'
import { GuardError } from '../guard-error.ts'
import { callCertificates } from './call-certificates.ts'
import type { IncomingGrpcCall } from './incoming-call.ts'

/** What of a call's metadata a guard looks at. */
const names = ['authorization', 'client-cert', 'client-cert-chain', 'x-forwarded-client-cert']

/** A call as a guard looks at it. Throws GuardError for a credential in binary metadata, where nobody looks for it. */
export function callRequest(incoming: IncomingGrpcCall, call: object, realm: string): RequestLike {
  const { metadata, method } = incoming
  if (metadata.get('authorization-bin').length > 0) {
    const message = 'The access token belongs into the metadata authorization as text, not into binary metadata.'
    throw new GuardError({ code: 'invalid_request', reason: 'malformed_authorization', message, realm })
  }
  const headers = textsOf(metadata)
  return {
    headers: Object.fromEntries(headers),
    // Node joins what was sent twice with a comma, which no token has in it.
    rawHeaders: headers.flat(),
    url: method,
    method: 'POST',
    incoming: call,
    peerCertificates: callCertificates(call as { metadata: Metadata }) ?? [],
    serviceToken: {
      isCarried: incoming.carriesServiceToken,
      verify: (verifier) => incoming.verifyServiceToken(verifier),
    },
  }
}

function textsOf(metadata: Metadata): [string, string][] {
  return names.flatMap((name) => metadata.get(name).map((value): [string, string] => [name, String(value)]))
}
