import { type CertificateRequest, isAgentId, parseCertificateRequest, parseSpiffeId } from '@countersign/spiffe'
import type { AgentServer, AttestAgentRequest, AttestAgentResponse } from '@countersign/spiffe/protocol/spire-agent'
import type { X509SVID } from '@countersign/spiffe/protocol/spire-types'
import { type ServerDuplexStream, status } from '@grpc/grpc-js'
import { signX509Svid } from '../certificate-authorities/sign-x509-svid.ts'
import { AttestationError, type AttestedNode } from '../nodes/node-attestor.ts'
import { NodeRefused } from '../nodes/node-registry.ts'
import { denied, requireAgent } from './calling-agent.ts'
import { type Caller, duplex, unary } from './calls.ts'
import type { NodeApiContext } from './context.ts'
import { readMessages } from './message-reader.ts'
import { invalidArgument, permissionDenied, RpcError } from './rpc-error.ts'
import { toWireId } from './wire-ids.ts'

const answerMilliseconds = 30_000
const longestVersion = 255
const longestType = 64
/** An attestation of ours takes one challenge. */
const mostChallenges = 4

/** How a node gets and renews its own identity: `spire.api.server.agent.v1.Agent`. */
export function agentService(context: NodeApiContext): AgentServer {
  const { rules } = context
  return {
    attestAgent: duplex(rules, (call, caller) => attestAgent(call, caller, context)),
    renewAgent: unary(rules, async ({ params }, caller) => {
      const agent = await requireAgent(caller, context)
      await context.limits.svids(agent.id, 1, agent.address)
      if (agent.node.reattestable) throw denied('AGENT_MUST_REATTEST')
      const request = readRequest(params?.csr)
      const { svid, serialNumber } = signAgentSvid(agent.id, request, context)
      await orDenied(
        context.nodes.renewed({
          id: agent.id,
          usedSerial: agent.serialNumber,
          newSerial: serialNumber,
          notAfter: svid.expiresAt,
          address: agent.address,
        }),
      )
      return { svid }
    }),
    postStatus: unary(rules, async ({ agentVersion }, caller) => {
      const agent = await requireAgent(caller, context)
      if (agentVersion.length > longestVersion) throw invalidArgument('the agent version is too long')
      await context.nodes.reportVersion(agent.id, agentVersion)
      return {}
    }),
  }
}

async function attestAgent(
  call: ServerDuplexStream<AttestAgentRequest, AttestAgentResponse>,
  caller: Caller,
  context: NodeApiContext,
): Promise<void> {
  const { address } = caller.connection
  const reader = readMessages(call, answerMilliseconds)
  await context.limits.attestation(address)
  const first = (await reader.next())?.step
  const params = first?.$case === 'params' ? first.value : undefined
  if (!params?.data?.type || params.data.payload.length === 0) {
    throw invalidArgument('the first message must carry the attestation data')
  }
  const { type, payload } = params.data
  const request = readRequest(params.params?.csr)
  let challenges = 0
  const challenge = async (bytes: Buffer): Promise<Buffer> => {
    challenges += 1
    if (challenges > mostChallenges) throw new Error(`the attestor ${type} asks too often`)
    call.write({ step: { $case: 'challenge', value: bytes } })
    const answer = (await reader.next())?.step
    if (answer?.$case !== 'challengeResponse') throw invalidArgument('the challenge was not answered')
    return answer.value
  }
  const takeIn = async (): Promise<{ svid: X509SVID; reattestable: boolean }> => {
    const attested = await attest({ type, payload, publicKeyDer: request.publicKeyDer }, challenge, context)
    const { svid, serialNumber } = signAgentSvid(attested.id, request, context)
    await orDenied(context.nodes.attested({ ...attested, type, serialNumber, notAfter: svid.expiresAt, address }))
    return { svid, reattestable: attested.reattestable }
  }
  const value = await orRefused(takeIn(), { type, address }, context)
  call.write({ step: { $case: 'result', value } })
}

/** @throws RpcError: FAILED_PRECONDITION for a type that is not configured */
async function attest(
  { type, payload, publicKeyDer }: { type: string; payload: Buffer; publicKeyDer: Buffer },
  challenge: (bytes: Buffer) => Promise<Buffer>,
  { nodeAttestors, trustDomain }: NodeApiContext,
): Promise<AttestedNode> {
  const attestor = nodeAttestors.find((known) => known.type === type)
  if (!attestor)
    throw new RpcError(
      status.FAILED_PRECONDITION,
      'the server attests no nodes in this way; its setting spiffe.node_attestors says in which',
    )
  const attested = await attestor.attest(payload, challenge, publicKeyDer)
  const id = parseSpiffeId(attested.id)
  if (id.trustDomain !== trustDomain || !isAgentId(id)) {
    throw new Error(`the attestor ${type} has made an ID that no agent may have`)
  }
  return attested
}

/** What is refused is recorded; a fault is not the node's. */
async function orRefused<T>(
  taking: Promise<T>,
  { type, address }: { type: string; address: string },
  { audit }: NodeApiContext,
): Promise<T> {
  try {
    return await taking
  } catch (error) {
    const refusal = error instanceof AttestationError ? refusalOf(error) : error
    if (refusal instanceof RpcError) {
      const detail = error instanceof AttestationError ? error.detail : undefined
      const reason = detail === undefined ? (error as Error).message : `${(error as Error).message}: ${detail}`
      const method = type.slice(0, longestType)
      await audit.record({ type: 'node.refused', outcome: 'failure', address, method, reason })
    }
    throw refusal
  }
}

function refusalOf({ code, message, cause }: AttestationError): RpcError {
  if (code === 'invalid') return invalidArgument(message)
  if (code === 'denied') return permissionDenied(message)
  return new RpcError(status.UNAVAILABLE, 'the node cannot be attested at the moment: try again later', { cause })
}

function readRequest(csr: Buffer | undefined): CertificateRequest {
  if (!csr?.length) throw invalidArgument('the certificate request is missing')
  try {
    return parseCertificateRequest(csr)
  } catch (error) {
    throw invalidArgument((error as Error).message)
  }
}

/** Of the request only the key is taken: the ID comes from the attestation. */
function signAgentSvid(
  id: string,
  { publicKeyDer }: CertificateRequest,
  { ca, issuanceIds, lifetimes, ...context }: NodeApiContext,
): { svid: X509SVID; serialNumber: string } {
  const now = context.now()
  const ttlSeconds = lifetimes.agentSeconds
  const signed = signX509Svid(ca, {
    id,
    publicKeyDer,
    ttlSeconds,
    serialNumber: issuanceIds.make(id, '', now + ttlSeconds),
    now,
  })
  return {
    svid: { id: toWireId(id), certChain: signed.chain, expiresAt: signed.expiresAt, hint: '' },
    serialNumber: signed.serialNumber,
  }
}

async function orDenied(change: Promise<void>): Promise<void> {
  try {
    await change
  } catch (error) {
    if (error instanceof NodeRefused) throw denied(error.standing)
    throw error
  }
}
