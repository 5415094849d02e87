import { SpiffeError, type SpiffeId, verifyX509Svid } from '@countersign/spiffe'
import type { ClientAuthMethod } from './client-auth-method.ts'
import { certificateAsCredential, clientOfCertificate } from './shown-certificate.ts'
import { isWorkloadOf } from './spiffe-clients.ts'

const method = 'spiffe_x509'

/** An X.509-SVID, verified by the bundle of its own trust domain (draft-ietf-oauth-spiffe-client-auth section 3.2). */
export const spiffeX509: ClientAuthMethod = {
  name: method,
  isPresented: (request) => certificateAsCredential(request) === 'svid',
  async authenticate(request, context) {
    const { certificate, client, fail } = await clientOfCertificate(method, request, context)
    const { leaf, chain, thumbprint } = certificate
    if (!context.bundles) throw fail('this server has no trust domain (spiffe.trust_domain)')
    let id: SpiffeId
    try {
      id = verifyX509Svid(chain, context.bundles, context.now(), { purpose: 'client' })
    } catch (error) {
      if (!(error instanceof SpiffeError)) throw error
      throw fail(error.message)
    }
    if (context.revocations.isRevokedSerial(leaf.serialNumber)) throw fail(`the X.509-SVID of ${id} has ended`)
    if (!isWorkloadOf(client, id)) throw fail(`${id} is not among the client's spiffe_ids`)
    return {
      client,
      method,
      credentialId: id.toString().slice(0, 256),
      certificateThumbprint: thumbprint,
      credentialExpiresAt: leaf.notAfter,
      isHeldBy: (now) => isWorkloadOf(now, id),
    }
  },
}
