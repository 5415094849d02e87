import { status } from '@grpc/grpc-js'
import type { Node } from '../nodes/node.ts'
import type { AuthorizationOptions } from '../registration-entries/entry-index.ts'
import type { Caller } from './calls.ts'
import type { NodeApiContext } from './context.ts'
import { type DenialReason, permissionDenied, RpcError } from './rpc-error.ts'

/** An agent that has attested itself, and calls with the SVID that it got for it. */
export interface CallingAgent {
  readonly id: string
  readonly node: Node
  readonly serialNumber: string
  readonly address: string
  readonly authorization: AuthorizationOptions
}

/**
 * The agent behind a call, as it stands now: what it was when the connection was made decides nothing.
 * @throws RpcError UNAUTHENTICATED, PERMISSION_DENIED with the reason; RESOURCE_EXHAUSTED
 */
export async function requireAgent(caller: Caller, context: NodeApiContext): Promise<CallingAgent> {
  const agent = await requireStillGood(caller, context)
  await context.limits.call(agent.id, agent.address)
  return agent
}

/**
 * The same within a call that goes on: what the agent was when the call began decides nothing either.
 * @throws RpcError UNAUTHENTICATED, PERMISSION_DENIED with the reason
 */
export async function requireStillGood(caller: Caller, context: NodeApiContext): Promise<CallingAgent> {
  const { peer, address } = caller.connection
  if (!peer) throw new RpcError(status.UNAUTHENTICATED, 'this call needs the SVID of an agent')
  const now = context.now()
  const id = peer.id.toString()
  if (!peer.isAgent) throw permissionDenied('only agents may call this')
  if (peer.leaf.notAfter <= now) throw denied('AGENT_EXPIRED')
  const { serialNumber } = peer.leaf
  const standing = await context.nodes.use(id, serialNumber)
  if (standing !== 'good') throw denied(standing)
  const node = await context.nodes.get(id)
  if (!node) throw denied('AGENT_NOT_ATTESTED')
  const authorization = { workloadPolicies: caller.isCountersign, attestedAt: node.attestedAt, now }
  return { id, node, serialNumber, address, authorization }
}

const sentences: Record<DenialReason, string> = {
  AGENT_BANNED: 'this agent is banned',
  AGENT_EXPIRED: "the agent's SVID has expired",
  AGENT_MUST_REATTEST: 'this agent must attest itself again',
  AGENT_NOT_ACTIVE: 'the agent has got a newer SVID than this one',
  AGENT_NOT_ATTESTED: 'this agent is not attested',
}

export function denied(reason: DenialReason): RpcError {
  return permissionDenied(sentences[reason], reason)
}
