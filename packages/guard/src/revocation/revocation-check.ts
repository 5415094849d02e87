import type { VerifiedToken } from '../access-token.ts'
import { revokedCertificate } from '../mtls/certificate-refusal.ts'
import { type Refusal, Refused, revocationsUnknown, revokedToken } from '../refusal.ts'
import type { RevocationSource } from './revocation-source.ts'

/** Throws, or rejects with, Refused for what was revoked, and while nobody can tell. */
export interface RevocationCheck {
  token(verified: VerifiedToken): VerifiedToken | Promise<VerifiedToken>
  /** `serialNumber` in lower-case hex. */
  certificate<T>(serialNumber: string, result: T): T | Promise<T>
  /** The same at once, for who has checked a token at this request already. */
  isRevokedCertificate(serialNumber: string): boolean
}

export function createRevocationCheck(revocations: RevocationSource | undefined): RevocationCheck {
  if (revocations === undefined) return nothingRevoked
  const isRevokedCertificate = (serialNumber: string) => revocations.isRevokedSerial?.(serialNumber) === true
  return {
    token: (verified) => unless(() => isRevoked(verified, revocations), revokedToken, verified),
    certificate: (serialNumber, result) => unless(() => isRevokedCertificate(serialNumber), revokedCertificate, result),
    isRevokedCertificate,
  }

  function unless<T>(isRevoked: () => boolean, refusal: Refusal, result: T): T | Promise<T> {
    const current = revocations!.isCurrent?.() ?? true
    return typeof current === 'boolean' ? decide(current) : current.then(decide)

    function decide(isCurrent: boolean): T {
      if (!isCurrent) throw new Refused(revocationsUnknown)
      if (isRevoked()) throw new Refused(refusal)
      return result
    }
  }
}

const nothingRevoked: RevocationCheck = {
  token: (verified) => verified,
  certificate: (_serialNumber, result) => result,
  isRevokedCertificate: () => false,
}

function isRevoked({ revocable, revocableSvid }: VerifiedToken, revocations: RevocationSource): boolean {
  if (revocable !== undefined && revocations.isRevoked(revocable)) return true
  return revocableSvid !== undefined && revocations.isRevokedJwtSvid?.(revocableSvid) === true
}
