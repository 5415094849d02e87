import { existsSync } from 'node:fs'
import { access } from 'node:fs/promises'
import { agreed, type ControlGroup, readControlGroups } from './control-groups.ts'
import type { Selector, WorkloadAttestor } from './workload-attestor.ts'

/** Where systemd looks for unit files, the first one wins (systemd.unit(5)). */
const UNIT_FOLDERS = [
  '/etc/systemd/system.control',
  '/run/systemd/system.control',
  '/run/systemd/transient',
  '/run/systemd/generator.early',
  '/etc/systemd/system',
  '/etc/systemd/system.attached',
  '/run/systemd/system',
  '/run/systemd/system.attached',
  '/run/systemd/generator',
  '/usr/local/lib/systemd/system',
  '/usr/lib/systemd/system',
  '/lib/systemd/system',
  '/run/systemd/generator.late',
]

/**
 * `systemd:id` and `systemd:fragment_path` of the system's unit that a process belongs to, as SPIRE's attestor of that
 * name: a user's own units all are `user@UID.service`.
 */
export function createSystemdAttestor(
  options: { unitFolders?: readonly string[]; bootedPath?: string } = {},
): WorkloadAttestor {
  const unitFolders = options.unitFolders ?? UNIT_FOLDERS
  return {
    name: 'systemd',
    // The test of sd_booted(3)
    lacks: () =>
      existsSync(options.bootedPath ?? '/run/systemd/system')
        ? undefined
        : 'this machine is not run by systemd; leave attestors.systemd off',
    async attest(process) {
      const groups = await readControlGroups(process.procPath)
      const legacy = groups.filter((group) => group.controllers === 'name=systemd')
      const unit = agreed(legacy.length > 0 ? legacy : groups.filter((group) => group.controllers === ''), unitOf)
      if (unit === undefined) return []
      const file = await fragmentPath(unit, unitFolders)
      const values = [`id:${unit}`, ...(file === undefined ? [] : [`fragment_path:${file}`])]
      return values.map((value): Selector => ({ type: 'systemd', value }))
    },
  }
}

/**
 * The unit that a control group belongs to: the first folder below the slices. What stands below it is the unit's own
 * to name, so that no process makes itself another unit's by a folder of its own.
 */
export function unitOf({ segments, relative }: ControlGroup): string | undefined {
  if (relative) return undefined
  const folder = segments.find((segment) => !segment.endsWith('.slice'))
  // systemd writes `_` before a name that the kernel could take for a file of its own (`cgroup.service`).
  const unit = folder?.replace(/^_/, '')
  return unit !== undefined && /^[\w:.\\@-]+\.(service|scope|socket|mount|swap)$/.test(unit) ? unit : undefined
}

async function fragmentPath(unit: string, folders: readonly string[]): Promise<string | undefined> {
  const template = unit.replace(/@.+(?=\.)/, '@')
  for (const name of new Set([unit, template])) {
    for (const folder of folders) {
      const path = `${folder}/${name}`
      if (await exists(path)) return path
    }
  }
  return undefined
}

function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  )
}
