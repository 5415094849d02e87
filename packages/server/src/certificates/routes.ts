import { type AdminApp, type AdminContext, needs } from '../admin/admin-app.ts'
import { sayingWhy } from '../certificate-authorities/ca-unavailable.ts'
import { workloadIdentityOf } from '../workload-identity.ts'
import { certificateOrder, issueCertificate, issuedCertificate } from './issue-certificate.ts'

export function certificateRoutes(app: AdminApp, { authority }: AdminContext): void {
  app.post(
    '/certificates',
    {
      config: needs('certificates:write'),
      schema: {
        tags: ['Certificates'],
        summary: 'Have a plain certificate issued',
        description:
          "For systems that only know files, signed by the trust domain's CA. It names hosts or a client, never a SPIFFE ID.",
        body: certificateOrder,
        response: { 201: issuedCertificate },
      },
    },
    async ({ body, administrator }, reply) => {
      const identity = workloadIdentityOf(authority)
      return reply.code(201).send(await sayingWhy(issueCertificate(body, { authority, identity }, administrator)))
    },
  )
}
