import { generateKeyPairSync } from 'node:crypto'
import { formatPemCertificates, spiffeId } from '@countersign/spiffe'
import { signX509Svid } from '../certificate-authorities/sign-x509-svid.ts'
import type { WorkloadIdentity } from '../workload-identity.ts'
import type { ServingCertificate } from './mtls-listener.ts'

/** Where no certificate is configured: the server's own X.509-SVID, with the host that clients come to. */
export function makeOwnCertificate(
  { trustDomain, ca, issuanceIds }: WorkloadIdentity,
  { hostname, lifetimeSeconds, now }: { hostname: string; lifetimeSeconds: number; now: number },
): { certificate: ServingCertificate; renewAt: number } {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const id = spiffeId(trustDomain, '/spire/server')
  const { chain, expiresAt } = signX509Svid(ca, {
    id,
    publicKeyDer: publicKey.export({ type: 'spki', format: 'der' }),
    ttlSeconds: lifetimeSeconds,
    dnsNames: /^[a-z0-9.-]*[a-z][a-z0-9.-]*$/i.test(hostname) ? [hostname] : [],
    serialNumber: issuanceIds.make(id.toString(), '', now + lifetimeSeconds),
    now,
  })
  return {
    certificate: {
      cert: formatPemCertificates(chain),
      key: privateKey.export({ type: 'pkcs8', format: 'pem' }) as string,
    },
    renewAt: now + Math.floor((expiresAt - now) / 2),
  }
}
