import { type SpiffeId, spiffeId } from './spiffe-id.ts'

// The IDs of the system itself, as SPIRE has them: its servers and agents know each other by these.

/** Whom agents talk to. */
export function serverId(trustDomain: string): SpiffeId {
  return spiffeId(trustDomain, '/spire/server')
}

/** @param path how the node has proven itself, such as `x509pop/3f2c`. Throws `invalid_spiffe_id`. */
export function agentId(trustDomain: string, path: string): SpiffeId {
  return spiffeId(trustDomain, `/spire/agent/${path}`)
}

export function isAgentId({ path }: SpiffeId): boolean {
  return path.startsWith('/spire/agent/')
}

/** Whether it is kept for servers and agents; no workload has such an ID. */
export function isSystemId({ path }: SpiffeId): boolean {
  return path === '/spire' || path.startsWith('/spire/')
}
