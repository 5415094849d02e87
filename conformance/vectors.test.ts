import {
  checkAccessTokenClaims,
  checkClientAssertion,
  parseJwks,
  parseJwt,
  selectKey,
  TokenError,
  type VerificationAlgorithm,
  verifySignature,
} from '@countersign/tokens'
import { createLocalJWKSet, type JSONWebKeySet, jwtVerify } from 'jose'
import { describe, expect, it } from 'vitest'
import { describeWith } from './describe-with.ts'
import { preparePython } from './python.ts'
import { readVectors, type Vector, type VectorFile } from './vectors/vector-file.ts'

const accessTokens = readVectors('access-tokens')
const assertions = readVectors('client-assertions')

const ours: Record<string, [VectorFile, (token: string) => unknown]> = {
  'access tokens': [
    accessTokens,
    (token) => {
      const { issuer, audience, now } = accessTokens
      return checkAccessTokenClaims(verified(token, accessTokens), { issuer, audiences: [audience] }, now)
    },
  ],
  'client assertions': [
    assertions,
    (token) => {
      const { issuer: clientId, audience, now } = assertions
      const rules = { clientId, audiences: [audience], leewaySeconds: 0, maximumLifetimeSeconds: 3600 }
      return checkClientAssertion(verified(token, assertions), rules, now)
    },
  ],
}

describe.each(Object.entries(ours))('our tokens package on %s', (_name, [file, verify]) => {
  it.each(file.vectors.map((vector) => [vector.name, vector] as const))('%s', (_vectorName, vector) => {
    expect(codeOf(() => verify(vector.token))).toBe(vector.reason ?? 'accepted')
  })
})

function verified(token: string, { jwks, algorithms }: VectorFile) {
  const parsed = parseJwt(token)
  const key = selectKey(parseJwks(jwks), parsed.header)
  if (!key) throw new TokenError('unknown_key', 'no key has this kid', 'kid')
  verifySignature(parsed, key, algorithms as VerificationAlgorithm[])
  return parsed
}

function codeOf(verify: () => unknown): string {
  try {
    verify()
    return 'accepted'
  } catch (error) {
    if (error instanceof TokenError) return error.code
    throw error
  }
}

describe('jose', () => {
  const options = ({ issuer, audience, algorithms, now }: VectorFile) => ({
    issuer,
    audience,
    algorithms: [...algorithms],
    currentDate: new Date(now * 1000),
  })

  it.each(accessTokens.vectors.map((vector) => [vector.name, vector] as const))(
    'on access tokens: %s',
    async (_name, vector) => {
      const keys = createLocalJWKSet(accessTokens.jwks as JSONWebKeySet)
      const verdict = jwtVerify(vector.token, keys, {
        ...options(accessTokens),
        typ: 'at+jwt',
        requiredClaims: ['exp', 'iat', 'sub', 'client_id', 'jti'],
      })
      await expectVerdict(verdict, vector)
    },
  )

  it.each(assertions.vectors.map((vector) => [vector.name, vector] as const))(
    'on client assertions: %s',
    async (_name, vector) => {
      const keys = createLocalJWKSet(assertions.jwks as JSONWebKeySet)
      const verdict = jwtVerify(vector.token, keys, {
        ...options(assertions),
        subject: assertions.issuer,
        requiredClaims: ['exp', 'jti'],
      })
      await expectVerdict(verdict, vector)
    },
  )
})

async function expectVerdict(verdict: Promise<unknown>, vector: Vector) {
  if (vector.accept) await verdict
  else if (isCommon(vector)) await expect(verdict).rejects.toThrow()
  // It may know the rule or not.
  else await verdict.catch(() => {})
}

/** Whether every JWT library must come to the verdict, with no rules but its own. */
function isCommon({ appliesTo }: Vector): boolean {
  return appliesTo === undefined
}

await describeWith(preparePython, 'PyJWT', (python) => {
  it('says the same of every access token whose rules it knows', async () => {
    const verdicts: Record<string, string> = await python.ask('pyjwt_vectors.py', accessTokens)
    const known = accessTokens.vectors.filter(isCommon)
    const said = known.map(({ name }) => [name, verdicts[name] === 'accepted'])
    expect(said).toEqual(known.map(({ name, accept }) => [name, accept]))
  })
})
