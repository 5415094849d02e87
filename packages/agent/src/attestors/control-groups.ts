import { readFile } from 'node:fs/promises'

/** One line of `/proc/PID/cgroup` (cgroups(7)). */
export interface ControlGroup {
  /** `''` is the unified hierarchy (v2), `name=systemd` systemd's own of v1, else controllers of v1. */
  readonly controllers: string
  /** The folders of its path, from the top of the hierarchy as this agent sees it. */
  readonly segments: readonly string[]
  /** True when the path leads out of the agent's own part of the hierarchy (`/../..`): what stands above is unknown. */
  readonly relative: boolean
}

/** Where in the hierarchies of control groups a process is. */
export async function readControlGroups(procPath: string): Promise<ControlGroup[]> {
  return parseControlGroups(await readFile(`${procPath}/cgroup`, 'utf8'))
}

export function parseControlGroups(text: string): ControlGroup[] {
  return text.split('\n').flatMap((line) => {
    const [, controllers, path] = /^\d+:([^:]*):(\/.*)$/.exec(line) ?? []
    if (controllers === undefined || path === undefined) return []
    const folders = path.split('/').filter((folder) => folder !== '')
    const segments = folders.slice(folders.lastIndexOf('..') + 1)
    return [{ controllers, segments, relative: segments.length < folders.length }]
  })
}

/**
 * What `find` reads from the control groups of a process; undefined when it reads nothing from any.
 *
 * @throws Error when two hierarchies say different things: the process has left one of them, and is nobody's
 */
export function agreed(groups: readonly ControlGroup[], find: (group: ControlGroup) => string | undefined) {
  const found = new Set(groups.map(find).filter((each) => each !== undefined))
  if (found.size > 1) throw new Error(`its control groups contradict each other: ${[...found].join(', ')}`)
  return [...found][0]
}
