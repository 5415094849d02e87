import { isIP } from 'node:net'
import {
  type CertificateRequest,
  formatPemCertificates,
  newSerialNumber,
  parseCertificate,
  parseCertificateRequest,
  SpiffeError,
} from '@countersign/spiffe'
import { z } from 'zod'
import { type Administrator, actorOf } from '../admin/administrator.ts'
import { exactly, line, time, toTime } from '../admin/fields.ts'
import { invalid } from '../admin/request-validation.ts'
import type { Authority } from '../authority.ts'
import { backdatedSeconds } from '../certificate-authorities/sign-x509-svid.ts'
import { signedUntil } from '../certificate-authorities/signed-until.ts'
import type { WorkloadIdentity } from '../workload-identity.ts'
import { requireHeldOfNamed } from './require-held-of-named.ts'

const day = 86_400
const longestSeconds = 90 * day

/** What a host may be called (RFC 1123), with a wildcard as its first label at the most. */
const hostName = z
  .string()
  .max(253)
  .regex(/^(\*\.)?([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/i, {
    error: 'must be a host name such as db.example.org or *.example.org',
  })

export const certificateOrder = exactly({
  csr: z.string().max(65_536).meta({ description: 'PKCS#10 in PEM; only its key is taken' }),
  usage: z.enum(['server', 'client', 'both']).default('both'),
  dns_names: z.array(hostName).max(100).default([]),
  ip_addresses: z
    .array(z.string().refine((text) => isIP(text) !== 0 && !text.includes('%'), { error: 'must be an IP address' }))
    .max(100)
    .default([]),
  common_name: line(64).optional(),
  ttl: z.int().min(60).max(longestSeconds).default(day).meta({ description: 'Seconds' }),
})

export const issuedCertificate = z.object({
  serial_number: z.string().meta({ description: 'Hex' }),
  expires_at: time,
  certificate: z.string().meta({ description: 'PEM: the certificate and what is between it and its root' }),
  ca_bundle: z.string().meta({ description: 'PEM: whom to trust, for who verifies such certificates' }),
})

/**
 * A plain certificate for what knows nothing but files. It never names a SPIFFE ID: those are for attested workloads.
 * @throws Problem `invalid`, `insufficient_scope` @throws CaUnavailable
 */
export async function issueCertificate(
  order: z.output<typeof certificateOrder>,
  { authority, identity }: { authority: Authority; identity: WorkloadIdentity },
  administrator: Administrator,
): Promise<z.infer<typeof issuedCertificate>> {
  const { dns_names: dnsNames, ip_addresses: ipAddresses, common_name: commonName, usage } = order
  if (dnsNames.length + ipAddresses.length === 0 && (usage !== 'client' || commonName === undefined)) {
    const message = 'name at least one host (dns_names, ip_addresses), or for a client its common_name'
    throw invalid([{ path: 'dns_names', message }])
  }
  const { publicKeyDer } = readRequest(order.csr)
  const now = authority.now()
  const issuer = identity.ca.issuer()
  const notAfter = signedUntil(now + order.ttl, issuer.certificate, now)
  const serialNumber = newSerialNumber()
  const der = issuer.issue({
    publicKeyDer,
    serialNumber,
    notBefore: now - backdatedSeconds,
    notAfter,
    dnsNames,
    ipAddresses,
    extendedKeyUsage: usage === 'both' ? ['server', 'client'] : [usage],
    ...(commonName !== undefined && { subject: { commonName } }),
  })
  await requireHeldOfNamed(parseCertificate(der), authority.store.database, administrator)
  // Durable before the certificate leaves.
  await authority.audit.record({
    ...actorOf(administrator),
    type: 'certificate.issued',
    outcome: 'success',
    target: `certificate/${serialNumber.toString('hex')}`,
    detail: {
      usage,
      dns_names: dnsNames,
      ip_addresses: ipAddresses,
      common_name: commonName ?? null,
      expires_at: toTime(notAfter),
    },
  })
  return {
    serial_number: serialNumber.toString('hex'),
    expires_at: toTime(notAfter),
    certificate: formatPemCertificates([der, ...issuer.chain]),
    ca_bundle: formatPemCertificates(identity.ca.bundle().x509Authorities),
  }
}

function readRequest(pem: string): CertificateRequest {
  const found = /^-----BEGIN (?:NEW )?CERTIFICATE REQUEST-----\s+([A-Za-z0-9+/=\s]+)-----END/m.exec(pem)
  if (!found) throw invalid([{ path: 'csr', message: 'must be a certificate request in PEM' }])
  try {
    return parseCertificateRequest(Buffer.from(found[1] as string, 'base64'))
  } catch (error) {
    if (!(error instanceof SpiffeError)) throw error
    throw invalid([{ path: 'csr', message: error.message }])
  }
}
