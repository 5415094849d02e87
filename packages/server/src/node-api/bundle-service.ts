import { type Bundle, parseTrustDomain } from '@countersign/spiffe'
import type { BundleServer } from '@countersign/spiffe/protocol/spire-bundle'
import type { BundleMask, Bundle as WireBundle } from '@countersign/spiffe/protocol/spire-types'
import { status } from '@grpc/grpc-js'
import type { TrustDomainAuthority } from '../certificate-authorities/trust-domain-authority.ts'
import { requireAgent } from './calling-agent.ts'
import { unary } from './calls.ts'
import type { NodeApiContext } from './context.ts'
import { invalidArgument, RpcError } from './rpc-error.ts'

/** The bundles that a node needs: `spire.api.server.bundle.v1.Bundle`. */
export function bundleService(context: NodeApiContext): BundleServer {
  const { rules, ca, federated, trustDomain, limits } = context
  return {
    // An agent asks for it on the connection on which it attested itself, where it is still nobody.
    getBundle: unary(rules, async ({ outputMask }, { connection }) => {
      await limits.anyCall(connection)
      return ownBundle(ca, outputMask)
    }),
    getFederatedBundle: unary(rules, async (request, caller) => {
      await requireAgent(caller, context)
      const name = readTrustDomain(request.trustDomain)
      if (name === trustDomain) throw invalidArgument("the server's own trust domain has no federated bundle")
      const bundle = federated.get(name)
      if (!bundle) throw new RpcError(status.NOT_FOUND, 'there is no bundle of this trust domain')
      return federatedBundle(bundle, request.outputMask)
    }),
  }
}

function readTrustDomain(text: string): string {
  try {
    return parseTrustDomain(text)
  } catch (error) {
    throw invalidArgument((error as Error).message)
  }
}

/** SPIRE's agents compare the number and the hint too: they may change only when the bundle does. */
function ownBundle(ca: TrustDomainAuthority, mask: BundleMask | undefined): WireBundle {
  const { x509, jwt, sequenceNumber } = ca.published()
  const bundle = {
    trustDomain: ca.trustDomain,
    x509Authorities: x509.map(({ der, tainted }) => ({ asn1: der, tainted })),
    jwtAuthorities: jwt.map(({ kid, publicKeyDer, expiresAt, tainted }) => ({
      keyId: kid,
      publicKey: publicKeyDer,
      expiresAt,
      tainted,
    })),
    refreshHint: 0,
    sequenceNumber,
  }
  return masked(bundle, mask)
}

function federatedBundle(bundle: Bundle, mask: BundleMask | undefined): WireBundle {
  const { trustDomain, x509Authorities, jwtAuthorities, refreshHintSeconds = 0, sequenceNumber = 0 } = bundle
  const wire = {
    trustDomain,
    x509Authorities: x509Authorities.map(({ der }) => ({ asn1: der, tainted: false })),
    jwtAuthorities: [...jwtAuthorities].map(([keyId, { publicKey, expiresAt = 0 }]) => ({
      keyId,
      publicKey: publicKey.export({ type: 'spki', format: 'der' }),
      expiresAt,
      tainted: false,
    })),
    refreshHint: refreshHintSeconds,
    sequenceNumber,
  }
  return masked(wire, mask)
}

/** What the mask asks for; all without one. */
function masked(bundle: WireBundle, mask: BundleMask | undefined): WireBundle {
  if (!mask) return bundle
  return {
    trustDomain: bundle.trustDomain,
    x509Authorities: mask.x509Authorities ? bundle.x509Authorities : [],
    jwtAuthorities: mask.jwtAuthorities ? bundle.jwtAuthorities : [],
    refreshHint: mask.refreshHint ? bundle.refreshHint : 0,
    sequenceNumber: mask.sequenceNumber ? bundle.sequenceNumber : 0,
  }
}
