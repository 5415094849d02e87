import { parseJwt } from '@countersign/tokens'
import { type AccessTokenRules, type VerifiedToken, verifyAccessToken } from './access-token.ts'
import type { JwtSvidSettings } from './jwt-svid/jwt-svid-options.ts'
import { isAccessTokenType, verifyBearerSvid } from './jwt-svid/verify-bearer-svid.ts'
import type { RevocationCheck } from './revocation/revocation-check.ts'
import type { VerifiedTokens } from './verified-tokens.ts'

export interface BearerVerifierSettings {
  readonly rules: AccessTokenRules
  readonly jwtSvid: JwtSvidSettings | undefined
  readonly known: VerifiedTokens
  readonly now: () => number
}

/** Verifies a Bearer token, at once where it is known or its key at hand. Throws or rejects with Refused or TokenError. */
export type VerifyBearer = (token: string) => VerifiedToken | Promise<VerifiedToken>

/**
 * A token's type decides what it is checked as, and there is no second try. A remembered token spares the signature, and nothing
 * else: revocation is looked at every time.
 */
export function createBearerVerifier(settings: BearerVerifierSettings, revocations: RevocationCheck): VerifyBearer {
  const { rules, jwtSvid, known, now } = settings

  return (token) => {
    const remembered = known.get(token, now())
    if (remembered !== undefined) return revocations.token(remembered)
    const fresh = verify(token)
    return fresh instanceof Promise ? fresh.then((late) => remember(token, late)) : remember(token, fresh)
  }

  function verify(token: string): VerifiedToken | Promise<VerifiedToken> {
    if (jwtSvid === undefined || (rules.issuers.size > 0 && isAccessTokenType(parseJwt(token).header.typ))) {
      return verifyAccessToken(token, rules, now)
    }
    return verifySvid(token, jwtSvid)
  }

  function verifySvid(token: string, settings: JwtSvidSettings): VerifiedToken | Promise<VerifiedToken> {
    const check = () => verifyBearerSvid(token, settings, { now: now() / 1000, leewaySeconds: rules.leewaySeconds })
    const { ready } = settings.bundles
    return ready === undefined ? check() : ready.then(check, check)
  }

  function remember(token: string, fresh: VerifiedToken): VerifiedToken | Promise<VerifiedToken> {
    known.set(token, fresh, now())
    return revocations.token(fresh)
  }
}
