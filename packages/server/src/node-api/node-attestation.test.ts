import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type FakeKubernetes, startKubernetes } from '../nodes/attestors/kubernetes.fixture.ts'
import { answering, makeCa, makeCertificate, presented } from '../nodes/attestors/x509pop.fixture.ts'
import { banNode } from '../nodes/manage-nodes.ts'
import {
  agentId,
  ask,
  newKey,
  nextMessage,
  refusal,
  startTestNodeServer,
  type TestIdentity,
  type TestNodeServer,
} from './node-api.fixture.ts'

const ca = makeCa({ subject: '/CN=Machines' })
const machine = makeCertificate({ subject: '/CN=machine-1', issuer: ca })
const token = 'aaaa.bbbb.cccc'
const review = {
  audiences: ['countersign-server'],
  username: 'system:serviceaccount:countersign:agent',
  extra: {
    'authentication.kubernetes.io/pod-name': ['agent-1'],
    'authentication.kubernetes.io/pod-uid': ['pod-1'],
  },
}

let kubernetes: FakeKubernetes
let server: TestNodeServer
beforeAll(async () => {
  kubernetes = await startKubernetes()
  const { url: apiServer, certificateAuthority, tokenFile } = kubernetes
  const prod = { apiServer, certificateAuthority, tokenFile, timeoutMilliseconds: 20_000 }
  server = await startTestNodeServer({
    spiffe: {
      nodeAttestors: {
        joinToken: false,
        x509pop: { authorities: () => [ca.certificate] },
        k8sPsat: {
          clusters: { prod: { ...prod, serviceAccounts: ['countersign:agent'], audience: ['countersign-server'] } },
        },
      },
    },
  })
})
afterAll(async () => {
  await server?.close()
  await kubernetes?.close()
})

type Answer = (challenge: Buffer) => Promise<Buffer>

async function attest(type: string, payload: Buffer, answer?: Answer): Promise<TestIdentity> {
  const { key, csr } = newKey()
  return server.asAgent(undefined, async ({ agent }) => {
    const call = agent.attestAgent()
    let step = nextMessage(call)
    call.write({ step: { $case: 'params', value: { data: { type, payload }, params: { csr } } } })
    for (;;) {
      const got = (await step)?.step
      if (got?.$case === 'result' && got.value.svid) {
        call.end()
        return { key, svid: got.value.svid }
      }
      if (got?.$case !== 'challenge' || !answer) throw new Error('neither an SVID nor a challenge that was expected')
      const value = await answer(got.value)
      step = nextMessage(call)
      call.write({ step: { $case: 'challengeResponse', value } })
    }
  })
}

const attestMachine = (made = machine) => attest('x509pop', presented(made), answering(made.key))
const attestPod = (presentedToken = token) =>
  attest('k8s_psat', Buffer.from(JSON.stringify({ cluster: 'prod', token: presentedToken })))
const entriesOf = async (identity: TestIdentity) => {
  const { entries } = await server.asAgent(identity, ({ entry }) =>
    ask(entry.getAuthorizedEntries, entry, { outputMask: undefined }),
  )
  return entries.map(({ id }) => id)
}
const group = async (name: string, type: string, value: string) => {
  const spiffeId = `spiffe://example.org/nodes/${name}`
  await server.entry({ spiffeId, parentId: 'spiffe://example.org/spire/server', selectors: [{ type, value }] })
  return server.entry({ spiffeId: `spiffe://example.org/${name}`, parentId: spiffeId })
}

describe('a node with a certificate', () => {
  it('joins by proving its key, and gets what is there for nodes like it', async () => {
    const { id } = await group('machines', 'x509pop', 'subject:cn:machine-1')
    await group('others', 'x509pop', 'subject:cn:machine-2')
    const identity = await attestMachine()
    expect(agentId(identity)).toMatch(/^spiffe:\/\/example\.org\/spire\/agent\/x509pop\/[0-9a-f]{40}$/)
    expect(await entriesOf(identity)).toEqual([id])
  })

  it('attests itself again in the place of renewing, which ends the SVID of before', async () => {
    const first = await attestMachine()
    const client = server.connect(first)
    const renewal = ask(client.agent.renewAgent, client.agent, { params: { csr: newKey().csr } })
    expect(await refusal(renewal)).toMatchObject({ code: 'PERMISSION_DENIED', reason: 'AGENT_MUST_REATTEST' })
    client.close()
    const second = await attestMachine()
    expect(agentId(second)).toBe(agentId(first))
    expect(await refusal(entriesOf(first))).toMatchObject({ reason: 'AGENT_NOT_ACTIVE' })
    expect(await entriesOf(second)).toHaveLength(1)
  })

  it('is refused with a certificate of another CA, or without its key, and the operator is told why', async () => {
    const stranger = makeCertificate({ subject: '/CN=machine-1', issuer: makeCa({ subject: '/CN=Machines' }) })
    expect(await refusal(attestMachine(stranger))).toMatchObject({ code: 'PERMISSION_DENIED' })
    const stolen = attest('x509pop', presented(machine), answering(stranger.key))
    expect(await refusal(stolen)).toMatchObject({ code: 'PERMISSION_DENIED' })
    expect(await server.events('node.refused')).toMatchObject([
      { method: 'x509pop', reason: expect.stringContaining('no trusted CA'), address: expect.any(String) },
      { method: 'x509pop', reason: expect.stringContaining('not signed with') },
    ])
  })

  it('is refused once it is banned, however well it proves itself', async () => {
    const other = makeCertificate({ subject: '/CN=machine-2', issuer: ca })
    const identity = await attestMachine(other)
    await banNode(agentId(identity), server.server.authority, {})
    expect(await refusal(attestMachine(other))).toMatchObject({ code: 'PERMISSION_DENIED', reason: 'AGENT_BANNED' })
    expect(await refusal(entriesOf(identity))).toMatchObject({ reason: 'AGENT_BANNED' })
  })
})

describe('a node of a Kubernetes cluster', () => {
  it('joins by the token of its agent’s pod, and is refused with one for another audience', async () => {
    kubernetes.tokens = new Map([
      [token, review],
      ['for.the.vault', { ...review, audiences: ['vault'] }],
    ])
    kubernetes.pods.set('countersign/agent-1', { uid: 'pod-1', nodeName: 'worker-1' })
    kubernetes.nodes.set('worker-1', { uid: 'node-1' })
    const { id } = await group('cluster', 'k8s_psat', 'cluster:prod')
    const identity = await attestPod()
    expect(agentId(identity)).toBe('spiffe://example.org/spire/agent/k8s_psat/prod/node-1')
    expect(await entriesOf(identity)).toEqual([id])
    const { code, message } = await refusal(attestPod('for.the.vault'))
    expect(code).toBe('PERMISSION_DENIED')
    expect(message).not.toContain('vault')
    expect((await server.events('node.refused')).at(-1)?.reason).toContain('token audiences ["vault"] is invalid')
    expect(await entriesOf(identity)).toEqual([id])
  })

  it('may try again where the API server cannot be asked, and learns nothing of why', async () => {
    kubernetes.broken = () => ({ status: 403, body: '' })
    const { code, message } = await refusal(attestPod())
    kubernetes.broken = undefined
    expect(code).toBe('UNAVAILABLE')
    expect(message).not.toMatch(/403|token_file/)
    expect((await server.events('node.refused')).at(-1)?.reason).toContain('403')
    await expect(attestPod()).resolves.toBeDefined()
  })
})

it('takes no way of attestation that is not configured', async () => {
  for (const type of ['join_token', 'aws_iid', 'constructor']) {
    expect(await refusal(attest(type, Buffer.from('x')))).toMatchObject({ code: 'FAILED_PRECONDITION' })
  }
})
