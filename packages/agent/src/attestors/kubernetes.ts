import { setTimeout as sleep } from 'node:timers/promises'
import type { WorkloadProcess } from '../process/workload-process.ts'
import { agreed, readControlGroups } from './control-groups.ts'
import { createKubelet, type KubeletOptions, missingFile } from './kubelet.ts'
import { type Container, type Pod, podSelectors } from './pod.ts'
import { podContainerOf } from './pod-control-group.ts'
import type { WorkloadAttestor } from './workload-attestor.ts'

export interface KubernetesAttestorOptions {
  readonly kubelet?: KubeletOptions
  /** How long to wait for the kubelet to know a container that has just started. Default 30,000. */
  readonly waitMilliseconds?: number
  /** How long a list of pods serves. Default 500. */
  readonly refreshMilliseconds?: number
  /** The control group in which Kubernetes keeps `kubepods`, where that is not the top of the hierarchy. */
  readonly controlGroupRoot?: string
}

/**
 * `k8s:ns|sa|pod-name|pod-uid|pod-label|pod-owner|container-name|container-image|...`, as SPIRE's attestor of that name:
 * the control group names pod and container, the node's kubelet says what they are.
 */
export function createKubernetesAttestor(options: KubernetesAttestorOptions = {}): WorkloadAttestor {
  const kubelet = createKubelet(options.kubelet ?? {}, options.refreshMilliseconds ?? 500)
  const root = (options.controlGroupRoot ?? '').split('/').filter(Boolean)
  return {
    name: 'k8s',
    lacks: () => missingFile(options.kubelet ?? {}),
    async attest(process) {
      const groups = await readControlGroups(process.procPath)
      const found = agreed(groups, (group) => podContainerOf(group, root))
      if (found === undefined) return []
      const [podUid, containerId] = found.split('/') as [string, string]
      return waitForSelectors(process, podUid, containerId)
    },
  }

  async function waitForSelectors(process: WorkloadProcess, podUid: string, containerId: string) {
    const giveUpAt = performance.now() + (options.waitMilliseconds ?? 30_000)
    while (true) {
      const pods = await kubelet.pods()
      const known = findContainer(pods, podUid, containerId)
      if (known !== undefined) return podSelectors(known.pod, known.container)
      if (pods.some(({ ephemeralContainers }) => ephemeralContainers.some(({ id }) => id === containerId)))
        throw new Error(`container ${containerId} is an ephemeral one, for debugging, and has nothing of its pod`)
      if (performance.now() >= giveUpAt) throw new Error(`the kubelet knows no running container ${containerId}`)
      if (!process.isAlive()) throw new Error(`process ${process.pid} ended before the kubelet knew its container`)
      await sleep(options.refreshMilliseconds ?? 500, undefined, { ref: false })
    }
  }
}

/** The pod UID is empty where the control group does not show it. */
function findContainer(pods: readonly Pod[], podUid: string, containerId: string) {
  const found = pods
    .filter((pod) => podUid === '' || pod.uid === podUid)
    .flatMap((pod) => {
      const container = [...pod.containers, ...pod.initContainers].find(({ id }) => id === containerId)
      return container === undefined ? [] : [{ pod, container }]
    })
  if (found.length > 1) throw new Error(`the kubelet names container ${containerId} in more than one pod`)
  return found[0] as { pod: Pod; container: Container } | undefined
}
