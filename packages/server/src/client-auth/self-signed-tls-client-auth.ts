import type { ClientAuthMethod } from './client-auth-method.ts'
import { certificateAsCredential, clientOfCertificate } from './shown-certificate.ts'

const method = 'self_signed_tls_client_auth'

/** RFC 8705 section 2.2: the very certificate that the client has registered; TLS has seen its key used. */
export const selfSignedTlsClientAuth: ClientAuthMethod = {
  name: method,
  isPresented: (request) => certificateAsCredential(request) === 'self_signed',
  async authenticate(request, context) {
    const { certificate, client, fail } = await clientOfCertificate(method, request, context)
    const { leaf, thumbprint } = certificate
    const registered = client.keys.find((key) => key.certificate?.equals(leaf.der))
    if (!registered) throw fail('the client has not registered this certificate')
    const now = context.now()
    if (now < leaf.notBefore || now > leaf.notAfter) throw fail('the certificate has expired, or is not valid yet')
    context.onCredentialUsed('key', registered.id)
    return {
      client,
      method,
      credentialId: registered.id,
      certificateThumbprint: thumbprint,
      credentialExpiresAt: leaf.notAfter,
    }
  },
}
