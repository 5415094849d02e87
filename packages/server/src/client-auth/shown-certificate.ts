import type { PeerCertificate } from '@countersign/guard'
import type { ClientRecord } from '../clients/client.ts'
import { parameter } from '../token-endpoint/form.ts'
import { OAuthError } from '../token-endpoint/oauth-error.ts'
import { type ClientAuthContext, ClientAuthFailure, type ClientRequest } from './client-auth-method.ts'

/** What a certificate can be; each is proof by one method only, so that none is tried after another. */
export type CertificateKind = 'svid' | 'self_signed' | 'issued'

/**
 * The certificate of a request that brings nothing else: where a secret or an assertion came too, that is the credential, and
 * the connection's certificate is the transport's business.
 */
export function certificateAsCredential({
  form,
  authorization,
  certificate,
}: ClientRequest): CertificateKind | undefined {
  if (certificate === undefined || authorization !== undefined) return undefined
  // Without an id a certificate names nobody (RFC 8705 section 2).
  if (!form.has('client_id')) return undefined
  if (form.has('client_secret') || form.has('client_assertion') || form.has('client_assertion_type')) return undefined
  const { leaf } = certificate
  if (leaf.uris.some((uri) => /^spiffe:/i.test(uri))) return 'svid'
  return leaf.issuerDer.equals(leaf.subjectDer) ? 'self_signed' : 'issued'
}

export interface ClientWithCertificate {
  certificate: PeerCertificate
  client: ClientRecord
  fail: (reason: string) => ClientAuthFailure
}

/** @throws ClientAuthFailure, OAuthError `invalid_request` */
export async function clientOfCertificate(
  method: string,
  { form, certificate }: ClientRequest,
  { findClient }: Pick<ClientAuthContext, 'findClient'>,
): Promise<ClientWithCertificate> {
  const id = parameter(form, 'client_id')
  if (id === undefined || certificate === undefined) {
    throw new OAuthError('invalid_request', 'client_id is missing: a certificate alone does not name the client')
  }
  const fail = (reason: string) => new ClientAuthFailure(method, id, reason)
  const client = await findClient(id)
  if (!client) throw fail('there is no client with this id')
  if (client.disabled) throw fail('the client is disabled')
  if (client.authMethods && !client.authMethods.includes(method)) throw fail(`the client may not use ${method}`)
  return { certificate, client, fail }
}
