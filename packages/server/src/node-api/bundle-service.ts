import { status } from '@grpc/grpc-js'
import { type Bundle, parseTrustDomain } from '@countersign/spiffe'
import type { BundleServer } from '@countersign/spiffe/protocol/spire-bundle'
import type { BundleMask, Bundle as WireBundle } from '@countersign/spiffe/protocol/spire-types'
import { unary } from './calls.ts'
import { requireAgent } from './calling-agent.ts'
import type { NodeApiContext } from './context.ts'
import { invalidArgument, RpcError } from './rpc-error.ts'

/** The bundles that a node needs: `spire.api.server.bundle.v1.Bundle`. */
export function bundleService(context: NodeApiContext): BundleServer {
  const { rules, ca, federated, trustDomain, limits } = context
  return {
    // An agent asks for it on the connection on which it attested itself, where it is still nobody.
    getBundle: unary(rules, async ({ outputMask }, { connection }) => {
      if (!connection.peer) await limits.anonymousCall(connection.address)
      return toWireBundle(ca.bundle(), outputMask)
    }),
    getFederatedBundle: unary(rules, async (request, caller) => {
      await requireAgent(caller, context)
      const name = readTrustDomain(request.trustDomain)
      if (name === trustDomain) throw invalidArgument("the server's own trust domain has no federated bundle")
      const bundle = federated.get(name)
      if (!bundle) throw new RpcError(status.NOT_FOUND, 'there is no bundle of this trust domain')
      return toWireBundle(bundle, request.outputMask)
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

/** @param mask which members are asked for; all without one */
export function toWireBundle(bundle: Bundle, mask: BundleMask | undefined): WireBundle {
  const wants = (member: keyof BundleMask) => mask === undefined || mask[member]
  return {
    trustDomain: bundle.trustDomain,
    x509Authorities: wants('x509Authorities')
      ? bundle.x509Authorities.map(({ der }) => ({ asn1: der, tainted: false }))
      : [],
    jwtAuthorities: wants('jwtAuthorities')
      ? [...bundle.jwtAuthorities].map(([keyId, { publicKey }]) => ({
          keyId,
          publicKey: publicKey.export({ type: 'spki', format: 'der' }),
          expiresAt: 0,
          tainted: false,
        }))
      : [],
    // The hint and the number are part of what agents compare: they may change only when the bundle does.
    refreshHint: wants('refreshHint') ? (bundle.refreshHintSeconds ?? 0) : 0,
    sequenceNumber: wants('sequenceNumber') ? (bundle.sequenceNumber ?? 0) : 0,
  }
}
