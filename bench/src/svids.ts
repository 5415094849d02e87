import { createPublicKey, generateKeyPairSync, randomBytes, sign, verify } from 'node:crypto'
import {
  createCertificateRequest,
  newSerialNumber,
  parseCertificateRequest,
  parseSpiffeId,
  signJwtSvid,
  verifyX509Svid,
} from '@countersign/spiffe'
import { createTestAuthority } from '@countersign/spiffe/testing'
import { type Figure, median, percent, perSecond } from './figures.ts'

/** Many rounds so short that what disturbs one half of a round mostly disturbs the other half too. */
const rounds = 200
const svidsARound = 100
/** Until all of it is compiled. */
const warmUpRounds = 50

/** In process, on one core: SVIDs signed, and verified, against OpenSSL doing as much over as many bytes. */
export async function benchSvids(): Promise<Figure[]> {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const publicKeyDer = publicKey.export({ format: 'der', type: 'spki' })
  const authority = createTestAuthority('example.org')
  const { issuer } = authority
  const now = Math.floor(Date.now() / 1000)
  const id = parseSpiffeId('spiffe://example.org/ns/prod/sa/orders')
  const uris = [id.toString()]
  const times = { notBefore: now - 10, notAfter: now + 3600 }

  const issue = () => issuer.issue({ publicKeyDer, serialNumber: newSerialNumber(), ...times, uris })
  const request = createCertificateRequest({ key: privateKey, uris })
  const issueFromRequest = () => {
    const asked = parseCertificateRequest(request)
    return issuer.issue({ publicKeyDer: asked.publicKeyDer, serialNumber: newSerialNumber(), ...times, uris })
  }
  const jwtTimes = { issuedAt: now, expiresAt: now + 300 }
  const signJwt = () => signJwtSvid({ id, audience: ['stock'], ...jwtTimes, key: privateKey, kid: 'a' })
  const svid = authority.x509Svid('/orders')
  const bundles = new Map([['example.org', authority.bundle]])
  /** Copied, as signatures of certificates that are known are not verified again. */
  const verifyLeaf = () =>
    verifyX509Svid(
      svid.certificates.map((certificate) => ({ ...certificate })),
      bundles,
      now,
    )

  const input = randomBytes(issue().length - 80)
  const raw = () => sign('sha256', input, privateKey)
  const signature = raw()
  const rawVerify = () => verify('sha256', input, publicKey, signature)
  /** What an issuer cannot do without: to load a key that it has never seen, verify with it, and sign. */
  const rawFromRequest = () => {
    verify('sha256', input, createPublicKey({ key: publicKeyDer, format: 'der', type: 'spki' }), signature)
    return raw()
  }
  return [
    figure('sign an X.509-SVID against raw ECDSA', compare(raw, issue), 0.5),
    figure('sign a JWT-SVID against raw ECDSA', compare(raw, signJwt), 0.5),
    figure('sign from a request against loading its key, verify and sign', compare(rawFromRequest, issueFromRequest)),
    figure('verify an X.509-SVID against raw ECDSA verify', compare(rawVerify, verifyLeaf)),
  ]
}

interface Round {
  raw: number
  ours: number
}

function compare(raw: () => unknown, ours: () => unknown): Round[] {
  const measured: Round[] = []
  for (let round = 0; round < warmUpRounds + rounds; round++) measured.push({ raw: rate(raw), ours: rate(ours) })
  return measured.slice(warmUpRounds)
}

function figure(name: string, measured: readonly Round[], budget?: number): Figure {
  const ratio = median(measured.map(({ raw, ours }) => ours / raw))
  const [ours, raw] = [measured.map((round) => round.ours), measured.map((round) => round.raw)].map(median)
  return {
    name,
    measured: `${percent(ratio)} (${perSecond(ours as number)} of ${perSecond(raw as number)})`,
    ...(budget !== undefined && { budget: `>= ${percent(budget)}`, met: ratio >= budget }),
  }
}

function rate(work: () => unknown): number {
  const startedAt = performance.now()
  for (let turn = 0; turn < svidsARound; turn++) work()
  return (svidsARound * 1000) / (performance.now() - startedAt)
}
