import { writeFileSync } from 'node:fs'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { k8sPsatAttestor } from './k8s-psat.ts'
import { type FakeKubernetes, ownToken, startKubernetes } from './kubernetes.fixture.ts'

const token = 'aaaa.bbbb.cccc'
const pod = { uid: 'pod-uid-1', nodeName: 'worker-1', hostIP: '10.0.0.1' }
const extra = {
  'authentication.kubernetes.io/pod-name': ['agent-x7k2p'],
  'authentication.kubernetes.io/pod-uid': ['pod-uid-1'],
  'authentication.kubernetes.io/node-name': ['worker-1'],
  'authentication.kubernetes.io/node-uid': ['node-uid-1'],
}
const username = 'system:serviceaccount:countersign:agent'

let kubernetes: FakeKubernetes
beforeAll(async () => {
  kubernetes = await startKubernetes()
})
afterAll(() => kubernetes.close())
beforeEach(() => {
  kubernetes.tokens = new Map([[token, { audiences: ['countersign-server'], username, extra }]])
  kubernetes.pods = new Map([['countersign/agent-x7k2p', pod]])
  kubernetes.nodes = new Map([['worker-1', { uid: 'node-uid-1' }]])
  kubernetes.broken = undefined
  kubernetes.requests = []
})

const attestorFor = (
  { url, certificateAuthority, tokenFile }: FakeKubernetes,
  audience = ['countersign-server'],
  timeoutMilliseconds = 20_000,
) =>
  k8sPsatAttestor({
    trustDomain: 'example.org',
    clusters: {
      prod: {
        apiServer: url,
        certificateAuthority,
        tokenFile,
        serviceAccounts: ['countersign:agent'],
        audience,
        timeoutMilliseconds,
        nodeLabels: ['topology.kubernetes.io/zone', 'constructor'],
        podLabels: ['app'],
      },
    },
  })
const attestData = (data: unknown, attestor = attestorFor(kubernetes)) =>
  attestor.attest(
    Buffer.from(typeof data === 'string' ? data : JSON.stringify(data)),
    async () => expect.fail('a token is not asked back'),
    Buffer.alloc(0),
  )
const attest = (presented = token, attestor = attestorFor(kubernetes)) =>
  attestData({ cluster: 'prod', token: presented }, attestor)
const code = (expected: string) => expect.objectContaining({ name: 'AttestationError', code: expected })

describe('k8s_psat lets a node join', () => {
  it('by the token of an agent’s pod, named by the node that runs it', async () => {
    expect(await attest()).toEqual({
      id: 'spiffe://example.org/spire/agent/k8s_psat/prod/node-uid-1',
      selectors: [
        'cluster:prod',
        'agent_ns:countersign',
        'agent_sa:agent',
        'agent_pod_name:agent-x7k2p',
        'agent_pod_uid:pod-uid-1',
        'agent_node_ip:10.0.0.1',
        'agent_node_name:worker-1',
        'agent_node_uid:node-uid-1',
      ].map((value) => ({ type: 'k8s_psat', value })),
      reattestable: true,
    })
    const [review] = kubernetes.requests
    expect(JSON.parse(review?.body ?? '')).toEqual({
      apiVersion: 'authentication.k8s.io/v1',
      kind: 'TokenReview',
      spec: { token, audiences: ['countersign-server'] },
    })
  })

  it('with the labels that were named as selectors, and no others', async () => {
    const zone = { 'topology.kubernetes.io/zone': 'a', 'kubernetes.io/arch': 'arm64' }
    kubernetes.nodes.set('worker-1', { uid: 'node-uid-1', labels: zone })
    kubernetes.pods.set('countersign/agent-x7k2p', { ...pod, labels: { app: 'agent', 'pod-template-hash': 'x' } })
    const labels = (await attest()).selectors.map(({ value }) => value).filter((value) => value.includes('label'))
    expect(labels).toEqual(['agent_node_label:topology.kubernetes.io/zone:a', 'agent_pod_label:app:agent'])
  })

  it('of a cluster that is too old to say on which node the token was made', async () => {
    const { 'authentication.kubernetes.io/pod-name': name, 'authentication.kubernetes.io/pod-uid': uid } = extra
    const old = { 'authentication.kubernetes.io/pod-name': name, 'authentication.kubernetes.io/pod-uid': uid }
    kubernetes.tokens.set(token, { audiences: ['countersign-server'], username, extra: old })
    expect((await attest()).id).toMatch(/node-uid-1$/)
  })

  it('whose pod is about to run, or to end', async () => {
    for (const phase of ['Pending', 'Running', 'Unknown']) {
      kubernetes.pods.set('countersign/agent-x7k2p', { ...pod, phase })
      await expect(attest()).resolves.toBeDefined()
    }
  })

  it('with its own token read anew each time', async () => {
    writeFileSync(kubernetes.tokenFile, 'outdated')
    await expect(attest()).rejects.toEqual(code('unavailable'))
    writeFileSync(kubernetes.tokenFile, ownToken)
    await expect(attest()).resolves.toBeDefined()
  })
})

describe('k8s_psat refuses', () => {
  const change = (members: object) => () => {
    const known = kubernetes.tokens.get(token) as NonNullable<ReturnType<typeof kubernetes.tokens.get>>
    kubernetes.tokens.set(token, { ...known, ...members })
  }
  const without = (name: string) => Object.fromEntries(Object.entries(extra).filter(([key]) => key !== name))
  it.each<[string, () => void]>([
    ['a token that the cluster does not know', () => kubernetes.tokens.clear()],
    ['a token for another service', change({ audiences: ['vault'] })],
    ['a token for the API server itself', change({ audiences: ['https://kubernetes.default.svc'] })],
    ['a token of another service account', change({ username: 'system:serviceaccount:countersign:default' })],
    ['a token of the service account of another namespace', change({ username: 'system:serviceaccount:evil:agent' })],
    ['a token of a person', change({ username: 'admin' })],
    ['a token of a node', change({ username: 'system:node:worker-1' })],
    [
      'a user with the name of a service account, of no cluster',
      change({ username: 'oidc:serviceaccount:countersign:agent' }),
    ],
    ['a system user of another kind', change({ username: 'system:node:countersign:agent' })],
    ['a namespace that leads elsewhere', change({ username: 'system:serviceaccount:../x:agent' })],
    ['a name with a part too many', change({ username: 'system:serviceaccount:countersign:agent:x' })],
    ['a token of a secret, which is bound to no pod', change({ extra: undefined })],
    ['a token without the pod’s uid', change({ extra: without('authentication.kubernetes.io/pod-uid') })],
    ['a token without the pod’s name', change({ extra: without('authentication.kubernetes.io/pod-name') })],
    ['two pods', change({ extra: { ...extra, 'authentication.kubernetes.io/pod-name': ['agent-x7k2p', 'b'] } })],
    [
      'a pod whose name leads elsewhere',
      change({ extra: { ...extra, 'authentication.kubernetes.io/pod-name': ['../x'] } }),
    ],
    ['a pod that is gone', () => kubernetes.pods.clear()],
    [
      'a pod of that name that is another one',
      () => kubernetes.pods.set('countersign/agent-x7k2p', { ...pod, uid: 'b' }),
    ],
    ['a pod that was evicted', () => kubernetes.pods.set('countersign/agent-x7k2p', { ...pod, phase: 'Failed' })],
    ['a pod that is done', () => kubernetes.pods.set('countersign/agent-x7k2p', { ...pod, phase: 'Succeeded' })],
    ['a token of a machine whose name another has now', () => kubernetes.nodes.set('worker-1', { uid: 'node-uid-2' })],
    [
      'a token of a machine that was not a node when it was made',
      change({ extra: without('authentication.kubernetes.io/node-uid') }),
    ],
    [
      'a token of another node',
      change({ extra: { ...extra, 'authentication.kubernetes.io/node-name': ['worker-2'] } }),
    ],
    ['a pod that runs nowhere yet', () => kubernetes.pods.set('countersign/agent-x7k2p', { uid: pod.uid })],
    ['a node that is gone', () => kubernetes.nodes.clear()],
  ])('%s', async (_what, prepare) => {
    prepare()
    await expect(attest()).rejects.toEqual(code('denied'))
  })

  it('a token, and tells the operator what the API server says of it, without the token', async () => {
    change({ audiences: ['vault'] })()
    await expect(attest()).rejects.toMatchObject({
      message: 'the Kubernetes API server does not accept the token',
      detail: expect.stringContaining('token audiences ["vault"] is invalid'),
    })
    const status = { error: `cannot parse ${token} ${'x'.repeat(10_000)}` }
    kubernetes.broken = () => ({ status: 201, body: JSON.stringify({ status }) })
    const { detail } = await attest().catch((thrown) => thrown)
    expect(detail).toMatch(/^cannot parse … x+$/)
    expect(detail.length).toBeLessThanOrEqual(500)
  })

  it('a token whose audience an old API server has not looked at', async () => {
    const old = await startKubernetes({ knowsAudiences: false })
    old.tokens = new Map([[token, { audiences: ['vault'], username, extra }]])
    old.pods = kubernetes.pods
    old.nodes = kubernetes.nodes
    await expect(attest(token, attestorFor(old))).rejects.toEqual(code('denied'))
    await old.close()
  })

  it('to be set up without an audience', () => {
    expect(() => attestorFor(kubernetes, [])).toThrow('needs an audience')
  })

  it.each<[string, unknown]>([
    ['no JSON', 'prod'],
    ['no cluster', { token }],
    ['a cluster that is not configured', { cluster: 'staging', token }],
    ['a cluster called like a member of every object', { cluster: 'constructor', token }],
    ['no token', { cluster: 'prod' }],
    ['a token that is none', { cluster: 'prod', token: 'secret' }],
    ['a token of two lines', { cluster: 'prod', token: `${token}\nx` }],
    ['a token of a megabyte', { cluster: 'prod', token: `${'a'.repeat(1_000_000)}.b.c` }],
  ])('%s, and asks nobody', async (_what, data) => {
    await expect(attestData(data)).rejects.toEqual(code('invalid'))
    expect(kubernetes.requests).toEqual([])
  })
})

describe('k8s_psat cannot tell, and says so without the token', () => {
  const json = (body: unknown) => ({ status: 200, body: JSON.stringify(body) })
  it.each<[string, FakeKubernetes['broken']]>([
    ['when the API server fails', () => ({ status: 500, body: token })],
    ['when it forbids us to ask', () => ({ status: 403, body: token })],
    ['when it sends us elsewhere', () => ({ status: 302, body: token })],
    ['when it answers no JSON', () => ({ status: 201, body: token })],
    ['when it answers something else', () => json({ kind: 'Status', token })],
    ['when it answers with too much', () => ({ status: 201, body: `"${'a'.repeat(2_000_000)}"` })],
    ['when it knows no token reviews', () => ({ status: 404, body: '{}' })],
    [
      'when it answers with a node of no uid',
      (path) => (path.includes('/nodes/') ? json({ metadata: {} }) : undefined),
    ],
  ])('%s', async (_what, broken) => {
    kubernetes.broken = broken
    const error = await attest().catch((thrown) => thrown)
    expect(error).toEqual(code('unavailable'))
    for (let at = error; at; at = at.cause) {
      expect(`${at.message}${at.stack}`).not.toContain(token)
      expect(`${at.message}${at.stack}`).not.toContain(ownToken)
    }
  })

  it('when it does not answer in time', async () => {
    kubernetes.broken = () => ({ status: 200, body: '', hang: true })
    await expect(attest(token, attestorFor(kubernetes, undefined, 50))).rejects.toEqual(code('unavailable'))
  })

  it('when another server stands in its place', async () => {
    const other = await startKubernetes()
    const attestor = attestorFor({ ...kubernetes, url: other.url })
    await expect(attest(token, attestor)).rejects.toEqual(code('unavailable'))
    expect(other.requests).toEqual([])
    await other.close()
  })

  it('when too many ask at once, and lets the others through', async () => {
    const attestor = attestorFor(kubernetes)
    const answers = await Promise.allSettled(Array.from({ length: 60 }, () => attest(token, attestor)))
    expect(answers.filter(({ status }) => status === 'fulfilled')).toHaveLength(50)
    for (const answer of answers) if (answer.status === 'rejected') expect(answer.reason).toEqual(code('unavailable'))
    await expect(attest(token, attestor)).resolves.toBeDefined()
  })
})
