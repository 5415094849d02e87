import { setImmediate as turn } from 'node:timers/promises'
import { parseCertificateRequest } from '@countersign/spiffe'
import type {
  BatchNewX509SVIDResponse_Result as BatchResult,
  NewX509SVIDParams,
  SVIDServer,
} from '@countersign/spiffe/protocol/spire-svid'
import type { JWTSVID } from '@countersign/spiffe/protocol/spire-types'
import { status } from '@grpc/grpc-js'
import type { AuditFact } from '../audit/event.ts'
import { signJwtSvid } from '../certificate-authorities/sign-jwt-svid.ts'
import { signX509Svid } from '../certificate-authorities/sign-x509-svid.ts'
import type { RegistrationEntry } from '../registration-entries/registration-entry.ts'
import { type CallingAgent, denied, requireAgent } from './calling-agent.ts'
import { unary } from './calls.ts'
import type { NodeApiContext } from './context.ts'
import { invalidArgument, RpcError } from './rpc-error.ts'
import { toWireId } from './wire-ids.ts'

/** As SPIRE has it: its agents ask for no more, and halve what fails. */
const largestBatch = 500
/** So many are signed before others get their turn. */
const signedAtOnce = 16
const mostAudiences = 64
const longestAudience = 1024

/** SVIDs for the workloads of a node: `spire.api.server.svid.v1.SVID`. */
export function svidService(context: NodeApiContext): SVIDServer {
  const { rules, limits, audit } = context
  return {
    batchNewX509Svid: unary(rules, async ({ params }, caller) => {
      const agent = await requireAgent(caller, context)
      if (params.length === 0) throw invalidArgument('no certificate is asked for')
      if (params.length > largestBatch) {
        throw new RpcError(status.RESOURCE_EXHAUSTED, `ask for at most ${largestBatch} certificates at once`)
      }
      await limits.svids(agent.id, params.length, agent.address)
      const outcomes: Outcome[] = []
      for (const [index, item] of params.entries()) {
        if (index % signedAtOnce === signedAtOnce - 1) await turn()
        outcomes.push(newX509Svid(item, agent, context))
      }
      // All in one commit, and durable before any of them is given away.
      await Promise.all([...factsOf(outcomes, agent)].map((fact) => audit.record(fact)))
      await requireStillWelcome(agent, context)
      return { results: outcomes.map(({ result }) => result) }
    }),
    newJwtsvid: unary(rules, async ({ entryId, audience }, caller) => {
      const agent = await requireAgent(caller, context)
      const audiences = [...new Set(audience.filter((name) => name !== ''))]
      if (audiences.length === 0) throw invalidArgument('a JWT-SVID needs an audience')
      if (audiences.length > mostAudiences || audiences.some((name) => name.length > longestAudience)) {
        throw invalidArgument(`at most ${mostAudiences} audiences of ${longestAudience} characters`)
      }
      await limits.svids(agent.id, 1, agent.address)
      const entry = authorizedEntry(entryId, agent, context)
      if (!entry) {
        await audit.record(refusedFact(agent, [entryId], notAuthorized))
        throw new RpcError(status.NOT_FOUND, notAuthorized)
      }
      const svid = await newJwtSvid(entry, audiences, agent, context)
      await requireStillWelcome(agent, context)
      return { svid }
    }),
  }
}

/** A ban revokes what is recorded as issued by then; what is recorded later must not get out. */
async function requireStillWelcome({ id }: CallingAgent, { nodes }: NodeApiContext): Promise<void> {
  if (!(await nodes.isWelcome(id))) throw denied('AGENT_BANNED')
}

const notAuthorized = 'entry not found or not authorized'

interface Outcome {
  result: BatchResult
  issued?: AuditFact
  refused?: { entryId: string; reason: string }
}

function newX509Svid({ entryId, csr }: NewX509SVIDParams, agent: CallingAgent, context: NodeApiContext): Outcome {
  const entry = authorizedEntry(entryId, agent, context)
  if (!entry) return refused(status.NOT_FOUND, notAuthorized, entryId)
  let publicKeyDer: Buffer
  try {
    // The ID that the request may name is not looked at: the entry says whose SVID this is.
    publicKeyDer = parseCertificateRequest(csr).publicKeyDer
  } catch (error) {
    return refused(status.INVALID_ARGUMENT, (error as Error).message, entryId)
  }
  const { ca, issuanceIds, lifetimes } = context
  const now = context.now()
  const ttlSeconds = lifetimeOf(entry, entry.x509SvidTtlSeconds || lifetimes.x509Seconds, now)
  const signed = signX509Svid(ca, {
    id: entry.spiffeId,
    publicKeyDer,
    ttlSeconds,
    dnsNames: entry.dnsNames,
    serialNumber: issuanceIds.make(agent.id, entry.id, now + ttlSeconds),
    now,
  })
  const { chain: certChain, expiresAt, serialNumber } = signed
  return {
    result: {
      status: { code: status.OK, message: '' },
      svid: { id: toWireId(entry.spiffeId), certChain, expiresAt, hint: entry.hint },
    },
    issued: issuedFact(entry, agent, { kind: 'x509', serial_number: serialNumber, expires_at: expiresAt }),
  }
}

async function newJwtSvid(
  entry: RegistrationEntry,
  audience: string[],
  agent: CallingAgent,
  { ca, issuanceIds, lifetimes, audit, jwtIssuer, ...context }: NodeApiContext,
): Promise<JWTSVID> {
  const now = context.now()
  const ttlSeconds = lifetimeOf(entry, entry.jwtSvidTtlSeconds || lifetimes.jwtSeconds, now)
  const { token, issuedAt, expiresAt, jti } = signJwtSvid(ca, {
    id: entry.spiffeId,
    audience,
    ttlSeconds,
    jti: issuanceIds.make(agent.id, entry.id, now + ttlSeconds).toString('base64url'),
    now,
    issuer: jwtIssuer,
  })
  const fact = issuedFact(entry, agent, { kind: 'jwt', audience, expires_at: expiresAt })
  await audit.record({ ...fact, jti })
  return { token, id: toWireId(entry.spiffeId), issuedAt, expiresAt, hint: entry.hint }
}

function authorizedEntry(
  entryId: string,
  { node, authorization }: CallingAgent,
  { entries }: NodeApiContext,
): RegistrationEntry | undefined {
  return entries.authorizedEntry(node, entryId, authorization)
}

/** No SVID outlives the entry that allows it. */
function lifetimeOf({ expiresAt }: RegistrationEntry, ttlSeconds: number, now: number): number {
  return expiresAt === undefined ? ttlSeconds : Math.max(1, Math.min(ttlSeconds, expiresAt - now))
}

function refused(code: status, message: string, entryId: string): Outcome {
  return { result: { status: { code, message }, svid: undefined }, refused: { entryId, reason: message } }
}

/** One event for each certificate, and one for all that were refused for one reason. */
function* factsOf(outcomes: readonly Outcome[], agent: CallingAgent): Generator<AuditFact> {
  const refusals = new Map<string, string[]>()
  for (const { issued, refused } of outcomes) {
    if (issued) yield issued
    if (refused) refusals.set(refused.reason, [...(refusals.get(refused.reason) ?? []), refused.entryId])
  }
  for (const [reason, entryIds] of refusals) yield refusedFact(agent, entryIds, reason)
}

function issuedFact(
  { id, spiffeId }: RegistrationEntry,
  agent: CallingAgent,
  detail: NonNullable<AuditFact['detail']>,
): AuditFact {
  return {
    type: 'svid.issued',
    outcome: 'success',
    address: agent.address,
    target: `entry/${id}`,
    detail: { spiffe_id: spiffeId, agent_id: agent.id, ...detail },
  }
}

const mostNamed = 10

function refusedFact(agent: CallingAgent, entryIds: readonly string[], reason: string): AuditFact {
  const named = entryIds.slice(0, mostNamed).map((id) => id.slice(0, 128))
  return {
    type: 'svid.refused',
    outcome: 'failure',
    address: agent.address,
    reason,
    ...(entryIds.length > 1 && { count: entryIds.length }),
    detail: { agent_id: agent.id, entries: named },
  }
}
