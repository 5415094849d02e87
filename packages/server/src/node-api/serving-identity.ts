import { generateKeyPairSync } from 'node:crypto'
import { spiffeId, toPem } from '@countersign/spiffe'
import type { CaAuthority } from '../certificate-authorities/certificate-authority.ts'
import type { IssuanceIds } from '../certificate-authorities/issuance-id.ts'
import { signX509Svid } from '../certificate-authorities/sign-x509-svid.ts'
import type { ServingIdentity } from './node-listener.ts'

export interface ServingIdentityOptions {
  trustDomain: string
  ca: CaAuthority
  issuanceIds: IssuanceIds
  lifetimeSeconds: number
  /** Seconds since the epoch */
  now: () => number
}

/** The server's own X.509-SVID, `spiffe://TRUST_DOMAIN/spire/server`: by it agents know the server. */
export interface OwnSvid {
  readonly identity: ServingIdentity
  /** Makes another one when half of its time is over or `always`; true when it did. @throws CaUnavailable */
  renew(always?: boolean): boolean
}

/** @throws CaUnavailable */
export function createOwnSvid(options: ServingIdentityOptions): OwnSvid {
  let current = makeIdentity(options)
  return {
    get identity() {
      return current.identity
    },
    renew(always = false) {
      if (!always && options.now() < current.renewAt) return false
      current = makeIdentity(options)
      return true
    },
  }
}

function makeIdentity({ trustDomain, ca, issuanceIds, lifetimeSeconds, now }: ServingIdentityOptions): {
  identity: ServingIdentity
  renewAt: number
} {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const id = spiffeId(trustDomain, '/spire/server')
  const signed = signX509Svid(ca, {
    id,
    publicKeyDer: publicKey.export({ type: 'spki', format: 'der' }),
    ttlSeconds: lifetimeSeconds,
    serialNumber: issuanceIds.make(id.toString(), '', now() + lifetimeSeconds),
    now: now(),
  })
  return {
    identity: {
      key: privateKey,
      certificatesPem: signed.chain.map((der) => toPem(der)).join(''),
      authoritiesPem: ca.bundle().x509Authorities.map(({ der }) => toPem(der)),
    },
    renewAt: now() + Math.floor((signed.expiresAt - now()) / 2),
  }
}
