import { generateKeyPairSync } from 'node:crypto'
import { type CertificateIssuer, formatPemCertificates, serverId } from '@countersign/spiffe'
import type { AuditLog } from '../audit/log.ts'
import type { IssuanceIds } from './issuance-id.ts'
import { backdatedSeconds, signX509Svid } from './sign-x509-svid.ts'
import type { TrustDomainAuthority } from './trust-domain-authority.ts'

export interface OwnSvidOptions {
  trustDomain: string
  ca: TrustDomainAuthority
  issuanceIds: IssuanceIds
  lifetimeSeconds: number
  /** In it besides the ID */
  dnsNames?: readonly string[]
  audit: Pick<AuditLog, 'record'>
  /** Seconds since the epoch */
  now: () => number
}

/** The server's own X.509-SVID, `spiffe://TRUST_DOMAIN/spire/server`: by it others know the server. */
export interface OwnSvid {
  current(): ServingPair
  /**
   * Has another one made when half of its time is over, another CA signs, or a clock that was ahead has been set right.
   * One that cannot be renewed stays.
   * @returns what ends that
   */
  follow(onRenewed: (pair: ServingPair) => void, onError: (error: unknown) => void): () => void
}

/** What a TLS server shows, in PEM. */
export interface ServingPair {
  /** Leaf first, the root left out */
  readonly cert: string
  readonly key: string
}

const lookMilliseconds = 1_000
/** After a failure */
const restMilliseconds = 10_000

/** @throws CaUnavailable, StoreError `unavailable` */
export async function createOwnSvid(options: OwnSvidOptions): Promise<OwnSvid> {
  const { ca, now } = options
  let svid = await makeSvid(options)
  let renewing: Promise<boolean> | undefined

  async function renewIfDue(): Promise<boolean> {
    const isAhead = now() < svid.validFrom
    if (now() < svid.renewAt && !isAhead && ca.issuer() === svid.issuer) return false
    svid = await makeSvid(options)
    return true
  }

  return {
    current: () => svid.pair,
    follow(onRenewed, onError) {
      let restsUntil = 0
      const look = async () => {
        if (renewing) return
        renewing = renewIfDue().finally(() => {
          renewing = undefined
        })
        try {
          if (await renewing) onRenewed(svid.pair)
        } catch (error) {
          restsUntil = performance.now() + restMilliseconds
          onError(error)
        }
      }
      const timer = setInterval(() => {
        if (performance.now() >= restsUntil) void look()
      }, lookMilliseconds)
      timer.unref()
      const forget = ca.onChange(() => void look())
      return () => {
        clearInterval(timer)
        forget()
      }
    },
  }
}

interface Svid {
  pair: ServingPair
  issuer: CertificateIssuer
  /** Seconds since the epoch */
  validFrom: number
  renewAt: number
}

async function makeSvid(options: OwnSvidOptions): Promise<Svid> {
  const { trustDomain, ca, issuanceIds, lifetimeSeconds, dnsNames = [], audit } = options
  const now = options.now()
  const issuer = ca.issuer()
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const id = serverId(trustDomain).toString()
  const { chain, expiresAt, serialNumber } = signX509Svid(ca, {
    id,
    publicKeyDer: publicKey.export({ type: 'spki', format: 'der' }),
    ttlSeconds: lifetimeSeconds,
    dnsNames,
    serialNumber: issuanceIds.make(id, '', now + lifetimeSeconds),
    now,
  })
  await audit.record({
    type: 'svid.issued',
    outcome: 'success',
    target: 'server',
    detail: { spiffe_id: id, kind: 'x509', serial_number: serialNumber, expires_at: expiresAt },
  })
  const key = privateKey.export({ type: 'pkcs8', format: 'pem' }) as string
  const pair = { cert: formatPemCertificates(chain), key }
  const renewAt = now + Math.floor((expiresAt - now) / 2)
  return { pair, issuer, validFrom: now - backdatedSeconds, renewAt }
}
