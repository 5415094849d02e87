// Countersign needs Node 24. Where the machine's own is older, the one that npm installed beside us serves.
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const root = dirname(dirname(fileURLToPath(import.meta.url)))

export const sourceFlags = ['--conditions=source', '--disable-warning=ExperimentalWarning']

export function modernNode() {
  if (Number(process.versions.node.split('.')[0]) >= 24) return process.execPath
  const bundled = join(root, 'node_modules', `node-linux-${process.arch}`, 'bin', 'node')
  if (existsSync(bundled)) return bundled
  console.error(
    `Countersign needs Node 24; this is ${process.version}. Install it from https://nodejs.org and try again.`,
  )
  process.exit(1)
}
