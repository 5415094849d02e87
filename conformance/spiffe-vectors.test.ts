import {
  type Bundle,
  formatJwtBundle,
  isSpiffeId,
  parseBundleDocument,
  parseCertificate,
  parseSpiffeId,
  parseX509Svid,
  SpiffeError,
  verifyJwtSvid,
  verifyX509Svid,
} from '@countersign/spiffe'
import { describe, expect, it } from 'vitest'
import { describeWith } from './describe-with.ts'
import { preparePython } from './python.ts'
import { readSpiffeVectors } from './vectors/spiffe-vectors.ts'
import { prepareGoSpiffe } from './workload-api/go-spiffe.ts'

const vectors = readSpiffeVectors()
const { now, audience } = vectors
const bundles = new Map<string, Bundle>(
  Object.entries(vectors.bundles).map(([name, document]) => [
    name,
    parseBundleDocument(name, JSON.stringify(document)),
  ]),
)

describe('our spiffe package', () => {
  it.each(vectors.ids)('on the ID $id', ({ id, accept, trustDomain, path }) => {
    expect(isSpiffeId(id)).toBe(accept)
    if (accept) expect(parseSpiffeId(id)).toMatchObject({ trustDomain, path })
  })

  it.each(vectors.x509Svids)('on the X.509-SVID: $name', ({ chain, spiffeId, reason }) => {
    const bytes = chain.map((one) => Buffer.from(one, 'base64'))
    const verify = () => verifyX509Svid(bytes.map(parseCertificate), bundles, now).toString()
    expect(verdictOf(verify)).toBe(spiffeId ?? reason)
    if (spiffeId === undefined) return
    const svid = parseX509Svid(Buffer.concat(bytes), Buffer.from(vectors.leafPrivateKey, 'base64'))
    expect(svid.id.toString()).toBe(spiffeId)
  })

  it.each(vectors.jwtSvids)('on the JWT-SVID: $name', ({ token, spiffeId, reason }) => {
    const verify = () => verifyJwtSvid(token, { audience, bundles, now }).id.toString()
    expect(verdictOf(verify)).toBe(spiffeId ?? reason)
  })

  it.each(vectors.bundleDocuments)('on the bundle document: $name', (vector) => {
    const verdict = verdictOf(() => {
      const bundle = parseBundleDocument('example.org', vector.document)
      expect(bundle.x509Authorities).toHaveLength(vector.x509Authorities ?? -1)
      expect([...bundle.jwtAuthorities.keys()]).toEqual(vector.jwtAuthorities)
      expect(bundle.sequenceNumber).toBe(vector.sequenceNumber)
      expect(bundle.refreshHintSeconds).toBe(vector.refreshHintSeconds)
      return 'accepted'
    })
    expect(verdict).toBe(vector.reason ?? 'accepted')
  })
})

const x509Svids = vectors.x509Svids.filter(isCommon)
const jwtSvids = vectors.jwtSvids.filter(isCommon)
const tokens = jwtSvids.map(({ token }) => token)

await describeWith(prepareGoSpiffe, 'go-spiffe', (go) => {
  const documents = Object.entries(vectors.bundles).map(([name, document]) => [name, JSON.stringify(document)])
  const chains = x509Svids.map(({ chain }) => chain)
  const answer = go.ask('verify', { bundles: Object.fromEntries(documents), x509: chains, jwt: tokens, audience })

  it.each(x509Svids.map(withPlace))('on the X.509-SVID: $name', async ({ spiffeId, place }) => {
    expect(withoutReason((await answer).x509[place])).toBe(spiffeId ?? 'refused')
  })

  it.each(jwtSvids.map(withPlace))('on the JWT-SVID: $name', async ({ spiffeId, place }) => {
    expect(withoutReason((await answer).jwt[place])).toBe(spiffeId ?? 'refused')
  })
})

/** Where py-spiffe 0.3 accepts, and go-spiffe and we refuse. */
const takenByPython = ['an expiry as text', 'issued in the future', 'a subject twice']

await describeWith(preparePython, 'py-spiffe', (python) => {
  const bundlesOfKeys = [...bundles].map(([name, bundle]) => [name, formatJwtBundle(bundle)])
  const jwtBundles = Object.fromEntries(bundlesOfKeys)
  const answer = python.ask('spiffe_workload.py', {
    command: 'verify',
    jwt_bundles: jwtBundles,
    jwt: tokens,
    audience,
  })

  it.each(jwtSvids.map(withPlace))('on the JWT-SVID: $name', async ({ name, spiffeId, place }) => {
    const verdict = withoutReason((await answer).jwt[place])
    if (takenByPython.includes(name)) expect(verdict).not.toBe('refused')
    else expect(verdict).toBe(spiffeId ?? 'refused')
  })
})

/** Whether verifiers agree on the rule, and need no knowledge of their own. */
function isCommon({ appliesTo }: { appliesTo?: readonly string[] }): boolean {
  return appliesTo === undefined
}

function withPlace<T>(vector: T, place: number): T & { place: number } {
  return { ...vector, place }
}

function withoutReason(verdict: string): string {
  return verdict.startsWith('refused') ? 'refused' : verdict
}

function verdictOf(verify: () => string): string {
  try {
    return verify()
  } catch (error) {
    if (error instanceof SpiffeError) return error.code
    throw error
  }
}
