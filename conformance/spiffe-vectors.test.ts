import {
  type Bundle,
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
import { readSpiffeVectors } from './vectors/spiffe-vectors.ts'

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

function verdictOf(verify: () => string): string {
  try {
    return verify()
  } catch (error) {
    if (error instanceof SpiffeError) return error.code
    throw error
  }
}
