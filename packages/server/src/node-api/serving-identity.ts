import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { type CertificateIssuer, formatPemCertificates, spiffeId, toPem } from '@countersign/spiffe'
import type { AuditLog } from '../audit/log.ts'
import type { CaAuthority } from '../certificate-authorities/certificate-authority.ts'
import type { IssuanceIds } from '../certificate-authorities/issuance-id.ts'
import { signX509Svid } from '../certificate-authorities/sign-x509-svid.ts'
import type { ServingIdentity } from './node-listener.ts'

export interface OwnSvidOptions {
  trustDomain: string
  ca: CaAuthority
  issuanceIds: IssuanceIds
  lifetimeSeconds: number
  audit: Pick<AuditLog, 'record'>
  /** Seconds since the epoch */
  now: () => number
}

/** The server's own X.509-SVID, `spiffe://TRUST_DOMAIN/spire/server`: by it agents know the server. */
export interface OwnSvid {
  /** As it is, with the authorities as they are now */
  identity(): ServingIdentity
  /**
   * Makes another one when half of its time is over, or another CA signs now.
   * @returns whether it did
   * @throws CaUnavailable, StoreError `unavailable`, and then the one before stays
   */
  renewIfDue(): Promise<boolean>
}

/** @throws CaUnavailable, StoreError `unavailable` */
export async function createOwnSvid(options: OwnSvidOptions): Promise<OwnSvid> {
  const { ca, now } = options
  let current = await makeSvid(options)
  let renewing: Promise<boolean> | undefined

  async function renew(): Promise<boolean> {
    if (now() < current.renewAt && ca.issuer() === current.issuer) return false
    current = await makeSvid(options)
    return true
  }

  return {
    identity: () => ({
      key: current.key,
      certificatesPem: current.certificatesPem,
      authoritiesPem: ca.bundle().x509Authorities.map(({ der }) => toPem(der)),
    }),
    renewIfDue() {
      renewing ??= renew().finally(() => {
        renewing = undefined
      })
      return renewing
    },
  }
}

interface Svid {
  key: KeyObject
  /** Leaf first, the root left out */
  certificatesPem: string
  issuer: CertificateIssuer
  /** Seconds since the epoch */
  renewAt: number
}

async function makeSvid(options: OwnSvidOptions): Promise<Svid> {
  const { trustDomain, ca, issuanceIds, lifetimeSeconds, audit } = options
  const now = options.now()
  const issuer = ca.issuer()
  const { privateKey: key, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const id = spiffeId(trustDomain, '/spire/server').toString()
  const { chain, expiresAt, serialNumber } = signX509Svid(ca, {
    id,
    publicKeyDer: publicKey.export({ type: 'spki', format: 'der' }),
    ttlSeconds: lifetimeSeconds,
    serialNumber: issuanceIds.make(id, '', now + lifetimeSeconds),
    now,
  })
  await audit.record({
    type: 'svid.issued',
    outcome: 'success',
    target: 'server',
    detail: { spiffe_id: id, kind: 'x509', serial_number: serialNumber, expires_at: expiresAt },
  })
  const certificatesPem = formatPemCertificates(chain)
  return { key, certificatesPem, issuer, renewAt: now + Math.floor((expiresAt - now) / 2) }
}
