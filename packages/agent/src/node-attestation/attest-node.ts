import { createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto'
import { createCertificateRequest } from '@countersign/spiffe'
import {
  AgentService,
  type AttestAgentRequest,
  type AttestAgentResponse,
  type AttestAgentResponse_Result,
} from '@countersign/spiffe/protocol/spire-agent'
import { type ClientDuplexStream, status } from '@grpc/grpc-js'
import { AgentError, reasonOf } from '../agent-error.ts'
import { type AgentIdentity, receivedIdentity } from '../agent-identity/agent-identity.ts'
import { grpcCode } from '../server-connection/call-failure.ts'
import type { ServerConnection } from '../server-connection/server-connection.ts'
import type { NodeAttestor } from './node-attestor.ts'

/** More rounds than any attestor needs. */
const mostChallenges = 8

/**
 * Gets this node its identity.
 * @param key the one that it is for; the same again, when an answer may have been lost
 * @param connection without a client certificate
 * @throws AgentError `attestation_refused` when the same credential will not do later either, else `unavailable`
 */
export async function attestNode(
  connection: ServerConnection,
  attestor: NodeAttestor,
  key: AgentKey,
  trustDomain: string,
): Promise<AgentIdentity> {
  const payload = await attestor.payload()
  const stream = connection.stream(AgentService.attestAgent)
  try {
    stream.write({
      step: { $case: 'params', value: { data: { type: attestor.type, payload }, params: { csr: key.csr } } },
    })
    const result = await converse(stream, attestor)
    return receivedIdentity(result.svid, { trustDomain, ...key, reattestable: result.reattestable })
  } catch (error) {
    throw asAttestationError(error, attestor)
  } finally {
    stream.end()
    stream.cancel()
  }
}

/** A key of this agent, and the request for its certificate. */
export interface AgentKey {
  readonly privateKey: KeyObject
  readonly publicKeyDer: Buffer
  readonly csr: Buffer
}

/** @param privateKey a fresh P-256 key when not given; the server names the subject */
export function agentKey(privateKey: KeyObject = newPrivateKey()): AgentKey {
  return {
    privateKey,
    publicKeyDer: createPublicKey(privateKey).export({ type: 'spki', format: 'der' }),
    csr: createCertificateRequest({ key: privateKey, country: 'US', organization: 'SPIRE' }),
  }
}

export function newPrivateKey(): KeyObject {
  return generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
}

async function converse(
  stream: ClientDuplexStream<AttestAgentRequest, AttestAgentResponse>,
  attestor: NodeAttestor,
): Promise<AttestAgentResponse_Result> {
  let challenges = 0
  for await (const answer of stream as AsyncIterable<AttestAgentResponse>) {
    if (answer.step?.$case === 'result') return answer.step.value
    challenges += 1
    if (answer.step === undefined || challenges > mostChallenges) break
    stream.write({ step: { $case: 'challengeResponse', value: await attestor.respond(answer.step.value) } })
  }
  throw new AgentError('invalid_answer', 'the server ended the attestation without a result')
}

/** Our server names the cure too; SPIRE's does not. */
function withoutCure(reason: string): string {
  return reason.replace(/; make another with: .*$/, '')
}

function asAttestationError(error: unknown, attestor: NodeAttestor): AgentError {
  if (error instanceof AgentError) return error
  const code = grpcCode(error)
  const reason = reasonOf(error)
  if (code === status.PERMISSION_DENIED)
    return new AgentError('attestation_refused', `the server refuses this node by ${attestor.type}: ${reason}`, {
      cause: error,
    })
  // An unknown, used or expired token is INVALID_ARGUMENT, and none of these mends with time.
  if (code === status.INVALID_ARGUMENT && !attestor.reusable)
    return new AgentError(
      'attestation_refused',
      `the server does not take this join token (${withoutCure(reason)}); each is good for one agent and a short time: make another with countersign node token create`,
      { cause: error },
    )
  return new AgentError('unavailable', `attestation by ${attestor.type} failed: ${reason}`, { cause: error })
}
