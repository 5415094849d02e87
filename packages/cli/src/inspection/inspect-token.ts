import {
  checkAccessTokenClaims,
  type JoseHeader,
  type JwtClaims,
  type ParsedJws,
  parseJwt,
  TokenError,
} from '@countersign/tokens'
import { roughDuration } from '../duration.ts'
import { formatInstant } from '../instant.ts'
import type { Finding } from './finding.ts'
import { type IssuerKeys, judgeSignature } from './signature.ts'

export interface Inspection {
  header: JoseHeader | null
  claims: JwtClaims | null
  /** Whether a receiver would take it, as far as could be checked */
  accepted: boolean
  findings: Finding[]
}

export interface InspectionContext {
  /** What the receiver is called; undefined: not checked */
  audience?: string
  /** The issuer and its keys, or a sentence why they cannot be had */
  issuer: IssuerKeys | string
  /** What the server says of a token that is otherwise good */
  revocation: (claims: JwtClaims) => Promise<Finding>
  /** Seconds since the epoch */
  now: number
}

/** Looks at a token as a guard would, but does not stop at the first fault. */
export async function inspectToken(token: string, context: InspectionContext): Promise<Inspection> {
  const parsed = parse(token)
  if (parsed instanceof TokenError) {
    const finding: Finding = {
      check: 'format',
      verdict: 'refused',
      says: `${parsed.message}; a token looks like eyJ....eyJ....signature`,
    }
    return { header: null, claims: null, accepted: false, findings: [finding] }
  }
  const findings = [
    judgeSignature(parsed, context.issuer),
    judgeType(parsed),
    judgeIssuer(parsed, context.issuer),
    judgeAudience(parsed, context.audience),
    judgeTime(parsed, context.now),
    ...judgeClaims(parsed),
  ]
  // Only the server's own, living tokens are worth its while; of others it says no more than "inactive".
  if (findings.every(({ check, verdict }) => check === 'audience' || verdict === 'good'))
    findings.push(await context.revocation(parsed.claims))
  return {
    header: parsed.header,
    claims: parsed.claims,
    accepted: findings.every(({ verdict }) => verdict !== 'refused'),
    findings,
  }
}

function parse(token: string): ParsedJws | TokenError {
  try {
    return parseJwt(token)
  } catch (error) {
    if (error instanceof TokenError) return error
    throw error
  }
}

function judgeType({ header }: ParsedJws): Finding {
  const type = header.typ?.toLowerCase().replace(/^application\//, '')
  if (type === 'at+jwt') return { check: 'type', verdict: 'good', says: 'it is an access token (typ at+jwt)' }
  const says = `its type is ${header.typ === undefined ? 'not given' : JSON.stringify(header.typ)}, but an access token says "at+jwt" (RFC 9068): it is another kind of token${type === 'm2m+jwt' ? '; a service token is judged by: countersign service token verify' : ''}`
  return { check: 'type', verdict: 'refused', says }
}

function judgeIssuer({ claims }: ParsedJws, issuer: IssuerKeys | string): Finding {
  if (typeof issuer === 'string')
    return { check: 'issuer', verdict: 'unknown', says: `the issuer was not checked: ${issuer}` }
  if (claims.iss === issuer.issuer) return { check: 'issuer', verdict: 'good', says: `it is from ${issuer.issuer}` }
  const hint =
    typeof claims.iss === 'string' && claims.iss.replace(/\/$/, '') === issuer.issuer.replace(/\/$/, '')
      ? '; they differ only in the final slash, which counts'
      : ''
  return {
    check: 'issuer',
    verdict: 'refused',
    says: `its issuer is ${JSON.stringify(claims.iss)}, not ${JSON.stringify(issuer.issuer)}${hint}`,
  }
}

function judgeAudience({ claims }: ParsedJws, wanted: string | undefined): Finding {
  const given = Array.isArray(claims.aud) ? claims.aud : [claims.aud]
  const names = given.map((name) => JSON.stringify(name) ?? 'nobody').join(', ')
  if (wanted === undefined)
    return {
      check: 'audience',
      verdict: 'unknown',
      says: `it is for ${names}; whether that is right was not checked, give --audience to do so`,
    }
  if (given.includes(wanted)) return { check: 'audience', verdict: 'good', says: `it is for ${JSON.stringify(wanted)}` }
  const slash = given.some((name) => typeof name === 'string' && name.replace(/\/$/, '') === wanted.replace(/\/$/, ''))
  const hint = slash
    ? '; they differ only in the final slash, which counts'
    : `; get one for it with: countersign token get --audience ${wanted}`
  return { check: 'audience', verdict: 'refused', says: `it is for ${names}, not for ${JSON.stringify(wanted)}${hint}` }
}

function judgeTime({ claims }: ParsedJws, now: number): Finding {
  const refused = (says: string): Finding => ({ check: 'time', verdict: 'refused', says })
  const { exp, iat, nbf } = claims
  if (typeof exp !== 'number')
    return refused('it has no "exp", so it would never end; every access token must have one')
  if (now >= exp) return refused(`it expired ${roughDuration(now - exp)} ago, at ${formatInstant(exp)}; get a new one`)
  const starts = Math.max(...[iat, nbf].map((time) => (typeof time === 'number' ? time : 0)))
  if (starts > now) {
    return refused(
      `it is valid only in ${roughDuration(starts - now)}, from ${formatInstant(starts)} on; compare this machine's clock with the issuer's`,
    )
  }
  return {
    check: 'time',
    verdict: 'good',
    says: `it is valid for another ${roughDuration(exp - now)}, until ${formatInstant(exp)}`,
  }
}

/** What else RFC 9068 asks for: told only where it is missing. */
function judgeClaims(parsed: ParsedJws): Finding[] {
  const { iss, aud, iat, exp, nbf } = parsed.claims
  try {
    const audience = Array.isArray(aud) ? aud[0] : aud
    const asIfGood = { ...parsed, header: { ...parsed.header, typ: 'at+jwt' } }
    const within = Math.max(...[iat, nbf].map((time) => (typeof time === 'number' ? time : 0)))
    if (typeof exp !== 'number' || exp <= within) throw new TokenError('invalid_claim', 'it ends before it begins')
    checkAccessTokenClaims(asIfGood, { issuer: String(iss), audiences: [String(audience)] }, within)
    return []
  } catch (error) {
    if (!(error instanceof TokenError)) throw error
    return [{ check: 'claims', verdict: 'refused', says: `it is no complete access token: ${error.message}` }]
  }
}
