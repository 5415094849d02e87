import { addressKey, type RateLimit, type RateLimiter } from '@countersign/limits'
import { status } from '@grpc/grpc-js'
import type { NodeConnection } from './node-connection.ts'
import { RpcError } from './rpc-error.ts'

export interface NodeLimitSettings {
  attestationsPerAddress: RateLimit
  /** Of those who are no agents, other than attestations */
  anonymousCallsPerAddress: RateLimit
  callsPerNode: RateLimit
  svidsPerNode: RateLimit
}

export const defaultNodeLimits: NodeLimitSettings = {
  // Nodes behind one address that come up together; each pays for the attempts of all.
  attestationsPerAddress: { name: 'node_attestations', quota: 600, windowSeconds: 60, burst: 200 },
  anonymousCallsPerAddress: { name: 'node_anonymous_calls', quota: 1_200, windowSeconds: 60, burst: 400 },
  callsPerNode: { name: 'node_calls', quota: 3_000, windowSeconds: 60, burst: 1_000 },
  // SPIRE's agents ask for up to 500 at once.
  svidsPerNode: { name: 'node_svids', quota: 30_000, windowSeconds: 60, burst: 1_500 },
}

/** Each throws RpcError RESOURCE_EXHAUSTED, or LimitsError `store_unavailable`. */
export interface NodeLimits {
  attestation(address: string): Promise<void>
  /** One that needs no identity: counted for the agent, or for the address of who is none */
  anyCall(connection: Pick<NodeConnection, 'peer' | 'address'>): Promise<void>
  call(agentId: string, address: string): Promise<void>
  svids(agentId: string, count: number, address: string): Promise<void>
}

export function createNodeLimits(
  limiter: RateLimiter,
  settings: NodeLimitSettings,
  onRefused: (refusal: { address: string; limit: string }) => void,
): NodeLimits {
  async function take(limit: RateLimit, key: string, address: string, cost = 1): Promise<void> {
    const most = limit.burst ?? limit.quota
    const allowed = cost <= most && (await limiter.take(limit, key, cost)).allowed
    if (allowed) return
    onRefused({ address, limit: limit.name })
    throw new RpcError(status.RESOURCE_EXHAUSTED, 'too many calls: try again later')
  }
  return {
    attestation: (address) => take(settings.attestationsPerAddress, addressKey(address), address),
    anyCall: ({ peer, address }) =>
      peer?.isAgent
        ? take(settings.callsPerNode, peer.id.toString(), address)
        : take(settings.anonymousCallsPerAddress, addressKey(address), address),
    call: (agentId, address) => take(settings.callsPerNode, agentId, address),
    svids: (agentId, count, address) => take(settings.svidsPerNode, agentId, address, count),
  }
}

export const noNodeLimits: NodeLimits = {
  attestation: async () => {},
  anyCall: async () => {},
  call: async () => {},
  svids: async () => {},
}
