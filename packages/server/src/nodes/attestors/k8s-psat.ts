import { agentId } from '@countersign/spiffe'
import { z } from 'zod'
import { AttestationError, type NodeAttestor } from '../node-attestor.ts'
import { readAttestation } from './attestation-json.ts'
import { createKubernetesApi, type KubernetesApi, type KubernetesApiOptions } from './kubernetes-api.ts'
import { reviewToken, type TokenOwner } from './token-review.ts'

export interface KubernetesCluster extends KubernetesApiOptions {
  /** Which agents may join: `namespace:name` each */
  serviceAccounts: readonly string[]
  /** What tokens must be for: one of these, and at least one is named */
  audience: readonly string[]
  /** Names of the labels that become selectors; whoever may set them decides over nodes */
  nodeLabels?: readonly string[]
  podLabels?: readonly string[]
}

export interface K8sPsatAttestorOptions {
  trustDomain: string
  clusters: Readonly<Record<string, KubernetesCluster>>
}

const attestationData = z.object({
  cluster: z.string().min(1).max(63),
  token: z
    .string()
    .max(16_384)
    .regex(/^[\w-]+\.[\w-]+\.[\w-]+$/),
})

/** Each costs calls of the API server, and anybody may begin one. */
const mostAtOnce = 50

/** The agent has the projected token of a pod, which its cluster's API server knows; the node is the one that runs it. */
export function k8sPsatAttestor({ trustDomain, clusters }: K8sPsatAttestorOptions): NodeAttestor {
  const known = new Map(Object.entries(clusters).map(([name, cluster]) => [name, openCluster(name, cluster)]))
  let underWay = 0
  return {
    type: 'k8s_psat',
    async attest(payload) {
      const { cluster: name, token } = readAttestation(payload, attestationData)
      const cluster = known.get(name)
      if (!cluster) throw new AttestationError('invalid', 'the cluster is not one that is configured here')
      if (underWay >= mostAtOnce) throw new AttestationError('unavailable', 'too many nodes attest themselves at once')
      underWay += 1
      try {
        const owner = await reviewToken(token, cluster)
        if (!cluster.serviceAccounts.has(`${owner.namespace}:${owner.serviceAccount}`)) {
          throw denied('the service account is not one whose pods may let nodes join')
        }
        const node = await nodeOf(owner, cluster.api)
        const values = [
          `cluster:${name}`,
          `agent_ns:${owner.namespace}`,
          `agent_sa:${owner.serviceAccount}`,
          `agent_pod_name:${owner.podName}`,
          `agent_pod_uid:${owner.podUid}`,
          ...(node.address === undefined ? [] : [`agent_node_ip:${node.address}`]),
          `agent_node_name:${node.name}`,
          `agent_node_uid:${node.uid}`,
          ...labelValues('agent_node_label', node.labels, cluster.nodeLabels),
          ...labelValues('agent_pod_label', node.podLabels, cluster.podLabels),
        ]
        return {
          id: agentId(trustDomain, `k8s_psat/${name}/${node.uid}`).toString(),
          selectors: values.map((value) => ({ type: 'k8s_psat', value })),
          reattestable: true,
        }
      } catch (error) {
        if (error instanceof AttestationError) throw error
        throw new AttestationError('unavailable', (error as Error).message, { cause: error })
      } finally {
        underWay -= 1
      }
    },
  }
}

function openCluster(name: string, cluster: KubernetesCluster) {
  // Without one the API server would take every token of the cluster, whatever it was made for.
  if (cluster.audience.length === 0) throw new Error(`the Kubernetes cluster ${name} needs an audience for its tokens`)
  return { ...cluster, api: createKubernetesApi(cluster), serviceAccounts: new Set(cluster.serviceAccounts) }
}

const uid = z.string().regex(/^[A-Za-z0-9-]{1,64}$/)
const objectName = z.string().regex(/^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/)
const labels = z.record(z.string(), z.string()).optional()
const pod = z.object({
  metadata: z.object({ uid, labels }),
  spec: z.object({ nodeName: objectName.optional() }),
  status: z.object({ hostIP: z.string().max(64).optional(), phase: z.string().optional() }).optional(),
})
/** Phases of pods that never run again */
const ended = new Set(['Succeeded', 'Failed'])
const kubernetesNode = z.object({ metadata: z.object({ uid, labels }) })

/**
 * The API server goes on accepting a token when the pod has ended, and when the pod's node is gone and another machine
 * has taken its name; so both are looked at here.
 * @throws AttestationError `denied` when the pod is gone, has ended or is another one of its name, and so the node
 */
async function nodeOf({ namespace, podName, podUid, node: made }: TokenOwner, api: KubernetesApi) {
  const found = await api.get(`/api/v1/namespaces/${namespace}/pods/${podName}`, pod)
  if (found?.metadata.uid !== podUid) throw denied('the pod that the token is bound to is gone')
  if (ended.has(found.status?.phase ?? '')) throw denied('the pod that the token is bound to has ended')
  const name = found.spec.nodeName
  if (name === undefined) throw denied('the pod that the token is bound to runs nowhere')
  const node = await api.get(`/api/v1/nodes/${name}`, kubernetesNode)
  if (!node) throw denied('the node of the pod is gone')
  if (made !== undefined && (made.name !== name || made.uid !== node.metadata.uid)) {
    throw denied('the token was made on another node than the one that has its name now')
  }
  return {
    name,
    uid: node.metadata.uid,
    address: found.status?.hostIP,
    labels: node.metadata.labels,
    podLabels: found.metadata.labels,
  }
}

function labelValues(kind: string, has: Record<string, string> | undefined, wanted: readonly string[] = []): string[] {
  return wanted.filter((name) => has && Object.hasOwn(has, name)).map((name) => `${kind}:${name}:${has?.[name]}`)
}

function denied(message: string): AttestationError {
  return new AttestationError('denied', message)
}
