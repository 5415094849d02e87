import { normaliseAddress } from '@countersign/limits'
import { type Certificate, matchesDistinguishedName, SpiffeError, verifyCertificateChain } from '@countersign/spiffe'
import type { TlsClientAuth } from '../clients/client.ts'
import type { ClientAuthMethod } from './client-auth-method.ts'
import { certificateAsCredential, clientOfCertificate } from './shown-certificate.ts'

const method = 'tls_client_auth'

/** RFC 8705 section 2.1: a certificate of a CA that is believed, with the one name that the client is registered by. */
export const tlsClientAuth: ClientAuthMethod = {
  name: method,
  isPresented: (request) => certificateAsCredential(request) === 'issued',
  async authenticate(request, context) {
    const { certificate, client, fail } = await clientOfCertificate(method, request, context)
    const { leaf, chain, thumbprint } = certificate
    const expected = client.tlsClientAuth
    if (!expected) throw fail('the client has no name to know its certificates by (tls_client_auth)')
    try {
      verifyCertificateChain(chain, context.clientAuthorities(), context.now(), { purpose: 'client' })
    } catch (error) {
      if (!(error instanceof SpiffeError)) throw error
      throw fail(error.message)
    }
    if (context.revocations.isRevokedSerial(leaf.serialNumber)) throw fail('the certificate is revoked')
    if (!hasName(leaf, expected)) throw fail(`the certificate does not have the client's ${expected.name}`)
    return {
      client,
      method,
      credentialId: `${expected.name}=${expected.value}`.slice(0, 256),
      certificateThumbprint: thumbprint,
      credentialExpiresAt: leaf.notAfter,
      isHeldBy: ({ tlsClientAuth: now }) => now !== undefined && hasName(leaf, now),
    }
  },
}

export function hasName(leaf: Certificate, { name, value }: TlsClientAuth): boolean {
  switch (name) {
    case 'subject_dn':
      return matchesDistinguishedName(leaf.subjectDer, value)
    case 'san_dns':
      return leaf.dnsNames.some((dns) => dns.toLowerCase() === value.toLowerCase())
    case 'san_ip':
      return leaf.ipAddresses.some((address) => normaliseAddress(address) === value)
    case 'san_uri':
      return leaf.uris.includes(value)
    case 'san_email':
      return leaf.emails.includes(value)
  }
}
