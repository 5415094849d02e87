import type { RefusedWorkload, WorkloadsServer } from '@countersign/spiffe/protocol/countersign-agent'
import type { AuditFact } from '../audit/event.ts'
import { insertSvidRevocations, type SvidToRevoke } from '../revocation/revoke.ts'
import { type CallingAgent, requireAgent } from './calling-agent.ts'
import { unary } from './calls.ts'
import type { NodeApiContext } from './context.ts'
import { invalidArgument } from './rpc-error.ts'

/** What the agent had at once: one certificate and its successors that overlap, and a JWT for each audience. */
const mostNamed = 1_000
const mostWorkloads = 100
const longestReason = 256

/** What our agents tell beyond SPIRE's calls: `countersign.agent.v1.Workloads`. */
export function workloadsService(context: NodeApiContext): WorkloadsServer {
  const { rules, audit, store, entries, limits, now } = context
  return {
    reportEnded: unary(rules, async (request, caller) => {
      const agent = await requireAgent(caller, context)
      const { entryId, x509SerialNumbers, jwtIds } = request
      if (x509SerialNumbers.length + jwtIds.length > mostNamed) {
        throw invalidArgument(`name at most ${mostNamed} SVIDs at once`)
      }
      const ended = ownSvids(request, agent, context)
      if (ended.length === 0) return { revoked: 0 }
      // Told as often as an agent likes, each would be an audit event again.
      await limits.svids(agent.id, ended.length, agent.address)
      const serials = ended.flatMap(({ serial }) => serial ?? [])
      const ids = ended.flatMap(({ jti }) => jti ?? [])
      await audit.recordChange(
        {
          type: 'svid.revoked',
          outcome: 'success',
          address: agent.address,
          target: `entry/${entryId}`,
          reason: request.reason.slice(0, longestReason) || 'the workload has ended',
          detail: {
            agent_id: agent.id,
            ...(entries.get(entryId) && { spiffe_id: entries.get(entryId)?.spiffeId ?? '' }),
            serial_numbers: serials,
            jwt_ids: ids,
          },
        },
        (transaction) => insertSvidRevocations(transaction, ended, { store, now }),
      )
      return { revoked: ended.length }
    }),
    reportRefused: unary(rules, async ({ workloads }, caller) => {
      const agent = await requireAgent(caller, context)
      if (workloads.length > mostWorkloads) throw invalidArgument(`name at most ${mostWorkloads} workloads at once`)
      // Each is an audit event, as each SVID would have been.
      await limits.svids(agent.id, workloads.length, agent.address)
      await Promise.all(workloads.map((workload) => audit.record(refusedFact(workload, agent))))
      return {}
    }),
  }
}

/** Of what the request names, what was issued to this very agent for this very entry and has not expired. */
function ownSvids(
  { entryId, x509SerialNumbers, jwtIds }: { entryId: string; x509SerialNumbers: string[]; jwtIds: string[] },
  agent: CallingAgent,
  { issuanceIds, entries, now }: NodeApiContext,
): SvidToRevoke[] {
  const spiffeId = entries.get(entryId)?.spiffeId
  const own = (id: Buffer) => {
    const expiresAt = issuanceIds.expiryOf(id, agent.id, entryId)
    return expiresAt !== undefined && expiresAt > now() ? { ...(spiffeId && { spiffeId }), expiresAt } : undefined
  }
  const certificates = [...new Set(x509SerialNumbers)].flatMap((serial) => {
    const found = own(/^[0-9a-f]{40}$/.test(serial) ? Buffer.from(serial, 'hex') : Buffer.alloc(0))
    return found ? { serial, ...found } : []
  })
  const tokens = [...new Set(jwtIds)].flatMap((jti) => {
    const found = own(/^[A-Za-z0-9_-]{27}$/.test(jti) ? Buffer.from(jti, 'base64url') : Buffer.alloc(0))
    return found ? { jti, ...found } : []
  })
  return [...certificates, ...tokens]
}

function refusedFact(workload: RefusedWorkload, agent: CallingAgent): AuditFact {
  return {
    type: 'svid.refused',
    outcome: 'failure',
    address: agent.address,
    target: `entry/${workload.entryId.slice(0, 128)}`,
    reason: workload.failures.join('; ').slice(0, longestReason),
    detail: {
      agent_id: agent.id,
      spiffe_id: workload.spiffeId.slice(0, longestReason),
      pid: workload.pid,
      uid: workload.uid,
      selectors: workload.selectors.slice(0, 64).map((selector) => selector.slice(0, longestReason)),
    },
  }
}
