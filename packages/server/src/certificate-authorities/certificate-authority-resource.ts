import { toPem } from '@countersign/spiffe'
import { z } from 'zod'
import { time, toTime, toTimeOrNull } from '../admin/fields.ts'
import type { CertificateAuthorityRow } from '../storage/workload-identity-tables.ts'

/** As the admin API shows an authority; its private key is in no answer. */

export const authorityKind = z.enum(['x509', 'jwt'])
const status = z.enum(['prepared', 'active', 'retired', 'revoked'])

export const certificateAuthority = z.object({
  id: z.string().meta({ description: 'Of x509 the subject key identifier, of jwt the kid' }),
  trust_domain: z.string(),
  kind: authorityKind,
  status,
  created_at: time,
  activation_asked_at: time
    .nullable()
    .meta({ description: 'A rotation was asked for: it signs as soon as it has been published for long enough' }),
  activated_at: time.nullable(),
  retired_at: time.nullable(),
  tainted_at: time.nullable(),
  revoked_at: time.nullable(),
  expires_at: time,
  certificate: z.string().nullable().meta({ description: 'PEM; null for jwt' }),
  roots: z.array(z.string()).meta({ description: 'PEM: what others trust for it, itself or the upstream roots' }),
})

export function viewAuthority(row: CertificateAuthorityRow): z.infer<typeof certificateAuthority> {
  return {
    id: row.id,
    trust_domain: row.trust_domain,
    kind: authorityKind.parse(row.kind),
    status: status.parse(row.status),
    created_at: toTime(row.created_at),
    activation_asked_at: toTimeOrNull(row.activation_asked_at),
    activated_at: toTimeOrNull(row.activated_at),
    retired_at: toTimeOrNull(row.retired_at),
    tainted_at: toTimeOrNull(row.tainted_at),
    revoked_at: toTimeOrNull(row.revoked_at),
    expires_at: toTime(row.expires_at),
    certificate: row.certificate === null ? null : pemOf(row.certificate),
    roots: (JSON.parse(row.roots) as string[]).map(pemOf),
  }
}

function pemOf(base64: string): string {
  return toPem(Buffer.from(base64, 'base64'))
}
