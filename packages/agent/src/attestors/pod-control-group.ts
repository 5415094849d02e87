import type { ControlGroup } from './control-groups.ts'

const CONTAINER_ID = '[0-9a-f]{64}'
/** A static pod has a hash for a UID. systemd's names have `_` for `-`. */
const POD_UID = '[0-9a-f]{8}[-_]?[0-9a-f]{4}[-_]?[0-9a-f]{4}[-_]?[0-9a-f]{4}[-_]?[0-9a-f]{12}'
const RUNTIME = 'cri-containerd|crio|docker'
const SLICE = `(?:kubelet-)?kubepods(?:-(?:burstable|besteffort))?`

const ROOT = /^(?:kubelet|kubelet\.slice)$/
const PODS = /^(?:kubepods|(?:kubelet-)?kubepods\.slice)$/
const QUALITY_OF_SERVICE = /^(?:burstable|besteffort|(?:kubelet-)?kubepods-(?:burstable|besteffort)\.slice)$/
const POD = new RegExp(`^(?:pod(${POD_UID})|${SLICE}-pod(${POD_UID})\\.slice)$`)
const CONTAINER = new RegExp(`^(?:(${CONTAINER_ID})|(?:${RUNTIME})-(${CONTAINER_ID})\\.scope)$`)
/** containerd with systemd's names on a kubelet without them. */
const POD_AND_CONTAINER = new RegExp(`^${SLICE}-pod(${POD_UID})\\.slice:(?:${RUNTIME}):(${CONTAINER_ID})$`)

/**
 * The Kubernetes container that a control group is of, as `POD_UID/CONTAINER_ID`; the UID is empty where an agent that
 * itself runs in a container sees only a part of the path.
 *
 * The path is read from the top and must be one that a kubelet makes; what stands below the container's own folder is the
 * container's to name and is not looked at.
 *
 * @param root the folders in which `kubepods` lies, usually none
 */
export function podContainerOf(group: ControlGroup, root: readonly string[] = []): string | undefined {
  let rest = group.segments
  const take = (pattern: RegExp): RegExpExecArray | null => {
    const match = pattern.exec(rest[0] ?? '')
    if (match !== null) rest = rest.slice(1)
    return match
  }
  if (!group.relative) {
    if (!root.every((name, depth) => rest[depth] === name)) return undefined
    rest = rest.slice(root.length)
    if (rest[0] === 'system.slice' && rest[1] === 'containerd.service') rest = rest.slice(2)
  }

  take(ROOT)
  const belowPods = take(PODS) !== null || group.relative
  if (belowPods) take(QUALITY_OF_SERVICE)
  const both = take(POD_AND_CONTAINER)
  if (both !== null) return `${uid(both[1])}/${both[2]}`
  if (!belowPods) return undefined
  const pod = take(POD)
  const container = take(CONTAINER)
  if (container === null || (pod === null && !group.relative)) return undefined
  return `${uid(pod?.[1] ?? pod?.[2])}/${container[1] ?? container[2]}`
}

function uid(text: string | undefined): string {
  return (text ?? '').replaceAll('_', '-')
}
