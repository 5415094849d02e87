import { existsSync } from 'node:fs'
import { agreed, type ControlGroup, readControlGroups } from './control-groups.ts'
import { type ContainerConfiguration, inspectContainer } from './docker-engine.ts'
import type { Selector, WorkloadAttestor } from './workload-attestor.ts'

const CONTAINER = /^(?:(?:docker|libpod)-([0-9a-f]{64})\.scope|([0-9a-f]{64}))$/

export interface DockerAttestorOptions {
  /** The engine's socket. Default `/var/run/docker.sock`. */
  readonly socket?: string
  /**
   * Control groups directly below which the engine makes its containers (its `cgroup-parent`). Default `/docker` and
   * `/system.slice`; Podman's is `/machine.slice`.
   */
  readonly controlGroupParents?: readonly string[]
  readonly timeoutMilliseconds?: number
}

/** `docker:label|env|image_id|image_config_digest` of the container that a process runs in, as SPIRE's attestor of that name. */
export function createDockerAttestor(options: DockerAttestorOptions = {}): WorkloadAttestor {
  const socket = options.socket ?? '/var/run/docker.sock'
  const parents = (options.controlGroupParents ?? ['/docker', '/system.slice']).map((parent) =>
    parent.split('/').filter(Boolean),
  )
  return {
    name: 'docker',
    lacks: () =>
      existsSync(socket)
        ? undefined
        : `there is no engine at ${socket}; start it, or name its socket with attestors.docker.socket`,
    async attest(process, note) {
      const groups = await readControlGroups(process.procPath)
      const id = agreed(groups, (group) => containerOf(group, parents))
      if (id === undefined) {
        const elsewhere = groups.find(looksLikeContainer)
        if (elsewhere !== undefined) note(`${pathOf(elsewhere)} is not directly below one of control_group_parents`)
        return []
      }
      return selectorsOf(await inspectContainer(id, socket, options.timeoutMilliseconds ?? 5000))
    },
  }
}

/**
 * The container that a control group is of: only the folder where the engine itself makes them names one. A folder
 * further down is made by the container, or by a user in his own part of the hierarchy, and may carry any name.
 */
export function containerOf(group: ControlGroup, parents: readonly (readonly string[])[]): string | undefined {
  const { segments, relative } = group
  const depths = relative
    ? [0]
    : parents.filter((parent) => parent.every((name, depth) => segments[depth] === name)).map(({ length }) => length)
  for (const depth of depths) {
    const id = CONTAINER.exec(segments[depth] ?? '')
    if (id !== null) return id[1] ?? id[2]
  }
  return undefined
}

/** Worth a word to the operator, who may have set the engine's `cgroup-parent`; pods are the k8s attestor's. */
function looksLikeContainer({ segments }: ControlGroup): boolean {
  return segments.some((segment) => CONTAINER.test(segment)) && !segments.some((segment) => /kubepods/.test(segment))
}

function pathOf({ segments }: ControlGroup): string {
  return `/${segments.join('/')}`
}

function selectorsOf(container: ContainerConfiguration): Selector[] {
  const values = [
    ...Object.entries(container.labels).map(([name, value]) => `label:${name}:${value}`),
    ...container.environment.map((variable) => `env:${variable}`),
    ...(container.imageName === '' ? [] : [`image_id:${container.imageName}`]),
    ...(container.imageDigest === '' ? [] : [`image_config_digest:${container.imageDigest}`]),
  ]
  return values.map((value) => ({ type: 'docker', value }))
}
