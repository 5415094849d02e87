import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Agent, createAgent, createUnixAttestor } from '@countersign/agent'
import { toPem } from '@countersign/spiffe'
import { createTestAuthority } from '@countersign/spiffe/testing'
import { afterAll, beforeAll, expect, it, onTestFinished } from 'vitest'
import { describeWith } from '../describe-with.ts'
import { type OurServer, startOurServer } from '../spire/our-server.ts'
import { type Cluster, findKubernetes, startCluster, type TokenOptions } from './cluster.ts'
import { applyDocumentedManifests } from './documented-manifests.ts'

await describeWith(findKubernetes, 'k8s_psat with a real API server', () => {
  let cluster: Cluster
  let other: Cluster
  let server: OurServer
  // biome-ignore lint/suspicious/noExplicitAny: Kubernetes' own shapes
  let documented: any[]
  const folder = mkdtempSync(join(tmpdir(), 'k8s-psat-'))
  const ownToken = join(folder, 'server.token')
  beforeAll(async () => {
    cluster = await startCluster()
    other = await startCluster()
    documented = await applyDocumentedManifests(cluster)
    await applyDocumentedManifests(other)
    await startNode('worker-1')
    writeFileSync(ownToken, await cluster.token('server', { audiences: [] }))
    server = await startOurServer(toPem(createTestAuthority('none.test').issuer.certificate.der), settings())
  })
  afterAll(async () => {
    await server?.stop()
    server?.remove()
    await cluster?.stop()
    await other?.stop()
    rmSync(folder, { recursive: true, force: true })
  })

  const settings = () => `spiffe:
  node_attestors:
    k8s_psat:
      clusters:
        prod:
          api_server: ${cluster.url}
          ca_file: ${cluster.caFile}
          token_file: ${ownToken}
          service_accounts: [countersign:agent]
          node_labels: [topology.kubernetes.io/zone]
          pod_labels: [app]
`

  it('takes the manifests of our documentation as they are', () => {
    const kinds = documented.map(({ kind, metadata }) => `${kind} ${metadata.name}`)
    expect(kinds).toEqual(expect.arrayContaining(['ClusterRole countersign-server', 'DaemonSet agent', 'Pod order']))
  })

  it('lets an agent join by the token of its pod, and attest itself again', async () => {
    await startPod('agent-1')
    const agent = await joined(await bound('agent-1'))
    const node = await cluster.call('GET', '/api/v1/nodes/worker-1')
    const id = `spiffe://example.org/spire/agent/k8s_psat/prod/${node.metadata.uid}`
    expect(agent.status().spiffe_id).toBe(id)
    const pod = await cluster.call('GET', '/api/v1/namespaces/countersign/pods/agent-1')
    const registered = () => server.admin('GET', `/nodes/${encodeURIComponent(id)}`)
    expect((await registered()).selectors.sort()).toEqual(
      [
        'k8s_psat:cluster:prod',
        'k8s_psat:agent_ns:countersign',
        'k8s_psat:agent_sa:agent',
        'k8s_psat:agent_pod_name:agent-1',
        `k8s_psat:agent_pod_uid:${pod.metadata.uid}`,
        'k8s_psat:agent_node_name:worker-1',
        `k8s_psat:agent_node_uid:${node.metadata.uid}`,
        'k8s_psat:agent_node_label:topology.kubernetes.io/zone:a',
        'k8s_psat:agent_pod_label:app:countersign-agent',
      ].sort(),
    )
    const before = agent.status().expires_at as number
    await until(() => (agent.status().expires_at as number) > before)
  })

  it.each<[string, () => Promise<string>, RegExp]>([
    ['for another audience', () => bound('refused', { audiences: ['vault'] }), /audiences \["vault"\] is invalid/],
    ['for the API server itself', () => bound('refused', { audiences: [] }), /is invalid for the target audiences/],
    [
      'that has expired',
      async () => cluster.altered(await bound('refused'), { iat: 1_000_000, nbf: 1_000_000, exp: 1_000_600 }),
      /token has expired/,
    ],
    ['of another cluster', () => tokenOfOther(), /invalid bearer token/],
    [
      'of another issuer',
      async () => cluster.altered(await bound('refused'), { iss: 'https://other' }),
      /invalid bearer/,
    ],
    ['bound to no object', () => cluster.token('agent'), /not bound to a pod/],
    [
      'bound to a node',
      () => cluster.token('agent', { boundTo: { kind: 'Node', name: 'worker-1' } }),
      /not bound to a pod/,
    ],
    ['bound to a secret', () => boundToSecret(), /not bound to a pod/],
    ['of another service account', () => bound('stranger', { serviceAccount: 'server' }), /service account is not one/],
    ['of a pod that was deleted', () => deletedPod(), /has been invalidated/],
    ['of a pod that has failed', () => failedPod(), /has ended/],
    ['of a node that is gone', () => nodeGone(), /node of the pod is gone/],
    ['of a node whose name another machine has now', () => nodeReplaced(), /another node/],
  ])('refuses a token %s, and tells the operator why', async (_which, obtain, reason) => {
    await startPod('refused')
    const token = await obtain()
    await expect(joined(token)).rejects.toMatchObject({ code: 'attestation_refused' })
    expect(await lastRefusal()).toMatch(reason)
  })

  it('refuses a token of a service account that was deleted, once the API server has noticed', async () => {
    await cluster.call('POST', '/api/v1/namespaces/countersign/serviceaccounts', { metadata: { name: 'passing' } })
    await startPod('passing', 'passing')
    const token = await bound('passing', { serviceAccount: 'passing' })
    await cluster.call('DELETE', '/api/v1/namespaces/countersign/serviceaccounts/passing')
    // Its name is not one that may join either; what the API server says of the token is what counts here.
    await until(async () => {
      await joined(token).catch(() => {})
      return /does not accept the token/.test(await lastRefusal())
    })
  })

  it('can tell nobody when it may not review tokens, or not read pods, and says so to the operator alone', async () => {
    const token = await bound('agent-1')
    const own = await cluster.token('server', { audiences: [] })
    onTestFinished(() => writeFileSync(ownToken, own))
    for (const [useless, reason] of [
      ['nonsense', /401 to POST .*tokenreviews: our own token/],
      [await cluster.token('agent', { audiences: [] }), /403 to POST .*tokenreviews: our own token may not/],
      [await reviewerOnly(), /403 to GET .*pods\/…: our own token may not/],
    ] as const) {
      writeFileSync(ownToken, useless)
      const agent = agentWith(token)
      onTestFinished(() => agent.stop())
      // It goes on trying.
      const started = agent.start().catch(() => {})
      await until(async () => reason.test(await lastRefusal()))
      await agent.stop()
      await started
    }
  })

  it('says in its audit trail what the API server thinks of nothing that looks like a token', async () => {
    await expect(joined('e30.e30.e30')).rejects.toMatchObject({ code: 'attestation_refused' })
    expect(await lastRefusal()).not.toContain('e30.e30.e30')
  })

  const bound = (pod: string, options: TokenOptions & { serviceAccount?: string } = {}) =>
    boundIn(cluster, pod, options)

  async function boundIn(
    where: Cluster,
    pod: string,
    { serviceAccount = 'agent', ...options }: TokenOptions & { serviceAccount?: string } = {},
  ): Promise<string> {
    if (pod === 'stranger') await startPod('stranger', serviceAccount)
    return where.token(serviceAccount, { boundTo: { kind: 'Pod', name: pod }, ...options })
  }

  async function tokenOfOther(): Promise<string> {
    await startNode('worker-1', other)
    await startPod('refused', 'agent', 'worker-1', other)
    return boundIn(other, 'refused')
  }

  async function boundToSecret(): Promise<string> {
    const annotations = { 'kubernetes.io/service-account.name': 'agent' }
    const secret = { metadata: { name: 'agent', annotations }, type: 'kubernetes.io/service-account-token' }
    await cluster.call('POST', '/api/v1/namespaces/countersign/secrets', secret)
    return cluster.token('agent', { boundTo: { kind: 'Secret', name: 'agent' } })
  }

  async function deletedPod(): Promise<string> {
    const token = await bound('refused')
    await cluster.call('DELETE', '/api/v1/namespaces/countersign/pods/refused?gracePeriodSeconds=0')
    return token
  }

  async function failedPod(): Promise<string> {
    await startPod('failed')
    const token = await bound('failed')
    const path = '/api/v1/namespaces/countersign/pods/failed/status'
    const pod = await cluster.call('GET', path)
    await cluster.call('PUT', path, { ...pod, status: { phase: 'Failed' } })
    return token
  }

  async function nodeGone(): Promise<string> {
    await startNode('worker-2')
    await startPod('on-worker-2', 'agent', 'worker-2')
    const token = await bound('on-worker-2')
    await cluster.call('DELETE', '/api/v1/nodes/worker-2')
    return token
  }

  async function nodeReplaced(): Promise<string> {
    await startNode('worker-3')
    await startPod('on-worker-3', 'agent', 'worker-3')
    const token = await bound('on-worker-3')
    await cluster.call('DELETE', '/api/v1/nodes/worker-3')
    await startNode('worker-3')
    return token
  }

  /** Of one that has system:auth-delegator, which is for token reviews alone. */
  async function reviewerOnly(): Promise<string> {
    const binding = {
      metadata: { name: 'reviewer' },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'system:auth-delegator' },
      subjects: [{ kind: 'ServiceAccount', name: 'reviewer', namespace: 'countersign' }],
    }
    await cluster.call('POST', '/api/v1/namespaces/countersign/serviceaccounts', { metadata: { name: 'reviewer' } })
    await cluster.call('POST', '/apis/rbac.authorization.k8s.io/v1/clusterrolebindings', binding)
    return cluster.token('reviewer', { audiences: [] })
  }

  async function startNode(name: string, where = cluster): Promise<void> {
    await where.call('POST', '/api/v1/nodes', { metadata: { name, labels: { 'topology.kubernetes.io/zone': 'a' } } })
  }

  /** As the scheduler would leave it, unless there is one of its name */
  async function startPod(name: string, serviceAccountName = 'agent', nodeName = 'worker-1', where = cluster) {
    const spec = { serviceAccountName, nodeName, containers: [{ name: 'agent', image: 'agent' }] }
    const pod = { metadata: { name, labels: { app: 'countersign-agent' } }, spec }
    await where.call('POST', '/api/v1/namespaces/countersign/pods', pod).catch((error: Error) => {
      if (!error.message.includes('AlreadyExists')) throw error
    })
  }

  /** @throws AgentError when the server refuses it */
  async function joined(token: string): Promise<Agent> {
    const agent = agentWith(token, await server.bundleFile())
    onTestFinished(() => agent.stop())
    await agent.start()
    await agent.ready
    return agent
  }

  function agentWith(token: string, bundleFile?: string): Agent {
    const own = mkdtempSync(join(folder, 'agent-'))
    const tokenFile = join(own, 'token')
    writeFileSync(tokenFile, token)
    return createAgent({
      server: `${server.node.host}:${server.node.port}`,
      trustDomain: 'example.org',
      bootstrap: bundleFile === undefined ? { insecure: true } : { bundleFile },
      socket: join(own, 'agent.sock'),
      node: { k8sPsat: { cluster: 'prod', tokenFile } },
      syncIntervalSeconds: 1,
      attestors: [createUnixAttestor()],
    })
  }

  async function lastRefusal(): Promise<string> {
    const { items } = await server.admin('GET', '/audit-events?type=node.refused&limit=1')
    return items[0]?.reason ?? ''
  }
})

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 200))
}
