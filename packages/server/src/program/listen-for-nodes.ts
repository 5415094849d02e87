import type { RateLimiter } from '@countersign/limits'
import type { Authority } from '../authority.ts'
import type { Config } from '../config/config-schema.ts'
import { type NodeApi, startNodeApi } from '../node-api/node-api.ts'
import { defaultNodeLimits, type NodeLimitSettings } from '../node-api/node-limits.ts'

type SpiffeConfig = NonNullable<Config['spiffe']>

/** The node API as the configuration has it. */
export function listenForNodes(
  { spiffe, rate_limits: limits }: Pick<Config, 'rate_limits'> & { spiffe: SpiffeConfig },
  authority: Authority,
  limiter: RateLimiter,
  onError: (what: string, error: unknown) => void,
): Promise<NodeApi> {
  return startNodeApi({
    authority,
    limiter,
    limits: limits === 'off' ? undefined : nodeLimits(spiffe),
    lifetimes: {
      x509Seconds: spiffe.x509_svid_ttl,
      jwtSeconds: spiffe.jwt_svid_ttl,
      agentSeconds: spiffe.agent_svid_ttl,
    },
    jwtIssuer: spiffe.jwt_issuer,
    host: spiffe.node_host,
    port: spiffe.node_port,
    onError,
  })
}

function nodeLimits({ node_limits: limits }: SpiffeConfig): NodeLimitSettings | undefined {
  if (limits === 'off') return undefined
  const chosen = (set: { quota: number; window: number } | undefined, otherwise: NodeLimitSettings['callsPerNode']) =>
    set ? { name: otherwise.name, quota: set.quota, windowSeconds: set.window } : otherwise
  return {
    ...defaultNodeLimits,
    attestationsPerAddress: chosen(limits?.attestations_per_address, defaultNodeLimits.attestationsPerAddress),
    callsPerNode: chosen(limits?.calls_per_node, defaultNodeLimits.callsPerNode),
    svidsPerNode: chosen(limits?.svids_per_node, defaultNodeLimits.svidsPerNode),
  }
}
