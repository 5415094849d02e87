import {
  type ParsedJws,
  parseJwks,
  selectKey,
  TokenError,
  type VerificationAlgorithm,
  type VerificationKey,
  verifySignature,
} from '@countersign/tokens'
import { CliError } from '../cli-error.ts'
import { readMetadata } from '../metadata.ts'
import { reach } from '../reach.ts'
import { readAnswer } from '../server-answer.ts'
import type { Finding } from './finding.ts'

export interface IssuerKeys {
  issuer: string
  keys: readonly VerificationKey[]
}

const algorithms: readonly VerificationAlgorithm[] = [
  'ES256',
  'ES384',
  'ES512',
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'EdDSA',
  'Ed25519',
]

/** Issuer and keys of a server. @throws CliError */
export async function readIssuerKeys(url: string): Promise<IssuerKeys> {
  const { issuer } = await readMetadata(url)
  const address = `${url}/.well-known/jwks.json`
  const document = await readAnswer(await reach(address), address)
  try {
    return { issuer, keys: parseJwks(document) }
  } catch (error) {
    throw new CliError(`${address} is no usable set of keys: ${(error as Error).message}`)
  }
}

export function judgeSignature(parsed: ParsedJws, issuer: IssuerKeys | string): Finding {
  if (typeof issuer === 'string')
    return { check: 'signature', verdict: 'unknown', says: `the signature was not checked: ${issuer}` }
  const refused = (says: string): Finding => ({ check: 'signature', verdict: 'refused', says })
  const { kid, alg } = parsed.header
  const key = selectKey(issuer.keys, parsed.header)
  if (key === undefined) {
    const known =
      issuer.keys
        .map((known) => known.kid)
        .filter(Boolean)
        .join(', ') || 'no keys at all'
    return kid === undefined
      ? refused('it names no key (kid), and the issuer has not exactly one that fits')
      : refused(
          `its key ${JSON.stringify(kid)} is not among the issuer's (${known}): it is from another issuer or was signed with a key that is revoked or long retired`,
        )
  }
  try {
    verifySignature(parsed, key, algorithms)
    return {
      check: 'signature',
      verdict: 'good',
      says: `the signature is good (${alg}, key ${key.kid ?? 'without a kid'})`,
    }
  } catch (error) {
    if (!(error instanceof TokenError)) throw error
    return refused(
      error.code === 'invalid_signature'
        ? `the signature does not fit key ${JSON.stringify(kid)}: the token was altered, or forged`
        : error.message,
    )
  }
}
