import { createPublicKey, type KeyObject } from 'node:crypto'
import { type Bundle, type Certificate, createBundle, parseCertificate } from '@countersign/spiffe'
import type * as wire from '@countersign/spiffe/protocol/spire-types'
import { AgentError, reasonOf } from '../agent-error.ts'
import type { AgentLog } from '../agent-log.ts'

/** A trust bundle as the node API gives it, with what only an agent needs to know. */
export interface ReceivedBundle {
  readonly bundle: Bundle
  /** Subject key ids of authorities whose SVIDs are to be replaced at once. */
  readonly taintedAuthorities: ReadonlySet<string>
  /** Names of JWT keys whose SVIDs are not to be used any more. */
  readonly taintedKeys: ReadonlySet<string>
  /** Equal for bundles that say the same: numbers and hints do not count, or a restless server would wake everybody. */
  readonly fingerprint: string
}

/**
 * An authority that cannot be read is left out and told of; the others still hold.
 * @throws AgentError `invalid_answer` for another trust domain's bundle, or when nothing in it can be read
 */
export function parseReceivedBundle(message: wire.Bundle, trustDomain: string, log: AgentLog): ReceivedBundle {
  if (message.trustDomain !== trustDomain && message.trustDomain !== `spiffe://${trustDomain}`)
    throw new AgentError('invalid_answer', `the server sent the bundle of ${message.trustDomain} for ${trustDomain}`)
  const leftOut = (error: unknown) =>
    log.warn(
      { trust_domain: trustDomain, reason: reasonOf(error) },
      'an authority of a bundle cannot be read and is left out',
    )
  const x509Authorities: Certificate[] = []
  const taintedAuthorities = new Set<string>()
  for (const { asn1, tainted } of message.x509Authorities) {
    try {
      const certificate = parseCertificate(asn1)
      x509Authorities.push(certificate)
      if (tainted && certificate.subjectKeyId !== undefined) taintedAuthorities.add(certificate.subjectKeyId)
    } catch (error) {
      leftOut(error)
    }
  }
  const jwtAuthorities: { keyId: string; publicKey: KeyObject; expiresAt?: number }[] = []
  for (const { keyId, publicKey, expiresAt } of message.jwtAuthorities) {
    try {
      const key = createPublicKey({ key: publicKey, format: 'der', type: 'spki' })
      const authority = { keyId, publicKey: key, ...(expiresAt > 0 && { expiresAt }) }
      // Of a kind that JWT-SVIDs may be signed with, and named once.
      createBundle({ trustDomain, jwtAuthorities: [...jwtAuthorities, authority] })
      jwtAuthorities.push(authority)
    } catch (error) {
      leftOut(error)
    }
  }
  if (message.x509Authorities.length > 0 && x509Authorities.length === 0)
    throw new AgentError('invalid_answer', `no authority in the server's bundle of ${trustDomain} can be read`)
  return {
    bundle: createBundle({
      trustDomain,
      x509Authorities,
      jwtAuthorities,
      ...(message.refreshHint > 0 && { refreshHintSeconds: message.refreshHint }),
    }),
    taintedAuthorities,
    taintedKeys: new Set(message.jwtAuthorities.filter(({ tainted }) => tainted).map(({ keyId }) => keyId)),
    fingerprint: fingerprintOf(message),
  }
}

/** @param authorities subject key ids */
export function isSignedUnder(certificates: readonly Certificate[], authorities: ReadonlySet<string>): boolean {
  return certificates.some(({ authorityKeyId }) => authorityKeyId !== undefined && authorities.has(authorityKeyId))
}

function fingerprintOf(message: wire.Bundle): string {
  const authorities = message.x509Authorities.map(({ asn1, tainted }) => `${asn1.toString('base64')} ${tainted}`)
  const keys = message.jwtAuthorities.map(
    ({ keyId, publicKey, tainted }) => `${keyId} ${publicKey.toString('base64')} ${tainted}`,
  )
  return [...authorities.sort(), '', ...keys.sort()].join('\n')
}
