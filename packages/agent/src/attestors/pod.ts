import type { Selector } from './workload-attestor.ts'

export interface Container {
  /** Without the runtime before it (`containerd://`); empty while it does not run. */
  readonly id: string
  readonly name: string
  readonly image: string
  readonly imageId: string
}

export interface Pod {
  readonly name: string
  readonly namespace: string
  readonly uid: string
  readonly serviceAccount: string
  readonly nodeName: string
  readonly labels: Readonly<Record<string, string>>
  readonly owners: readonly { readonly kind: string; readonly name: string; readonly uid: string }[]
  readonly containers: readonly Container[]
  readonly initContainers: readonly Container[]
  /** Whoever may debug the pod adds these; they are not what the pod was made to run. */
  readonly ephemeralContainers: readonly Container[]
}

/** What the kubelet says of a pod and the container in it that a process runs in, as selectors with SPIRE's texts. */
export function podSelectors(pod: Pod, container: Container): Selector[] {
  const values = [
    // Static pods have none.
    ...(pod.serviceAccount === '' ? [] : [`sa:${pod.serviceAccount}`]),
    `ns:${pod.namespace}`,
    `node-name:${pod.nodeName}`,
    `pod-uid:${pod.uid}`,
    `pod-name:${pod.name}`,
    `pod-image-count:${pod.containers.length}`,
    `pod-init-image-count:${pod.initContainers.length}`,
    ...imagesOf(pod.containers).map((image) => `pod-image:${image}`),
    ...imagesOf(pod.initContainers).map((image) => `pod-init-image:${image}`),
    ...Object.entries(pod.labels).map(([name, value]) => `pod-label:${name}:${value}`),
    ...pod.owners.flatMap((owner) => [
      `pod-owner:${owner.kind}:${owner.name}`,
      `pod-owner-uid:${owner.kind}:${owner.uid}`,
    ]),
    `container-name:${container.name}`,
    ...imagesOf([container]).map((image) => `container-image:${image}`),
  ]
  return values.map((value) => ({ type: 'k8s', value }))
}

/** By name and by digest; a container that has not been started has no digest yet. */
function imagesOf(containers: readonly Container[]): string[] {
  return [...new Set(containers.flatMap(({ image, imageId }) => [imageId, image]))].filter((image) => image !== '')
}

/** Reads the pods of a kubelet's `GET /pods` (a `v1.PodList`); what is not as it should be is empty, or left out. */
export function parsePodList(answer: unknown): Pod[] {
  return list(answer, 'items').map((item) => {
    const [metadata, spec, status] = [object(item, 'metadata'), object(item, 'spec'), object(item, 'status')]
    const labels = Object.entries(object(metadata, 'labels')).filter(([, value]) => typeof value === 'string')
    return {
      name: text(metadata, 'name'),
      namespace: text(metadata, 'namespace'),
      uid: text(metadata, 'uid'),
      serviceAccount: text(spec, 'serviceAccountName'),
      nodeName: text(spec, 'nodeName'),
      labels: Object.fromEntries(labels) as Record<string, string>,
      owners: list(metadata, 'ownerReferences').map((owner) => ({
        kind: text(owner, 'kind'),
        name: text(owner, 'name'),
        uid: text(owner, 'uid'),
      })),
      containers: list(status, 'containerStatuses').map(parseContainer),
      initContainers: list(status, 'initContainerStatuses').map(parseContainer),
      ephemeralContainers: list(status, 'ephemeralContainerStatuses').map(parseContainer),
    }
  })
}

function parseContainer(status: unknown): Container {
  return {
    id: text(status, 'containerID').split('://')[1] ?? '',
    name: text(status, 'name'),
    image: text(status, 'image'),
    imageId: text(status, 'imageID'),
  }
}

function text(value: unknown, name: string): string {
  const found = (value as Record<string, unknown> | undefined)?.[name]
  return typeof found === 'string' ? found : ''
}

function object(value: unknown, name: string): object {
  const found = (value as Record<string, unknown> | undefined)?.[name]
  return typeof found === 'object' && found !== null ? found : {}
}

function list(value: unknown, name: string): unknown[] {
  const found = (value as Record<string, unknown> | undefined)?.[name]
  return Array.isArray(found) ? found.filter((each) => typeof each === 'object' && each !== null) : []
}
