import { readFileSync } from 'node:fs'
import { nearestSetting, settingPaths, variableName } from './setting-paths.ts'

/** Variables of this prefix that other programs of ours read. */
const notSettings =
  /^COUNTERSIGN_(URL|CLIENT_ID|CLIENT_SECRET|CLIENT_SECRET_FILE|PRIVATE_KEY_FILE|CONFIG|CONTEXT|DEBUG|TEST_\w+)$/

/**
 * Settings from `COUNTERSIGN_*`. With `_FILE` at the end the value is read from that file (a mounted secret), without
 * the line break at its end.
 */
export function environmentSettings(environment: NodeJS.ProcessEnv): {
  content: Record<string, unknown>
  problems: string[]
  sourceOf: (path: readonly PropertyKey[]) => string | undefined
} {
  const content: Record<string, unknown> = {}
  const problems: string[] = []
  const sources = new Map<string, string>()
  const byVariable = new Map(settingPaths.map((path) => [variableName(path.split('.')), path]))

  for (const [variable, text] of Object.entries(environment)) {
    if (!variable.startsWith('COUNTERSIGN_') || notSettings.test(variable) || text === undefined || text === '')
      continue
    if (isServiceLink(variable, text)) continue
    const fromFile = !byVariable.has(variable) && variable.endsWith('_FILE')
    const path = byVariable.get(fromFile ? variable.slice(0, -'_FILE'.length) : variable)
    if (path === undefined) {
      const meant = nearestSetting(variable.slice('COUNTERSIGN_'.length).toLowerCase())
      problems.push(
        `${variable}: there is no such setting${meant.replace(/"(.+)"/, (_all, name) => variableName(name.split('.')))}`,
      )
      continue
    }
    if (sources.has(path)) {
      problems.push(`${variable}: ${sources.get(path)} sets the same; keep one of them`)
      continue
    }
    sources.set(path, variable)
    try {
      place(content, path.split('.'), fromFile ? readFileSync(text, 'utf8').replace(/\r?\n$/, '') : text)
    } catch (error) {
      problems.push(
        `${variable}: ${text} cannot be read (${(error as NodeJS.ErrnoException).code}); name the file that holds the value`,
      )
    }
  }
  return { content, problems, sourceOf: (path) => sources.get(path.join('.')) }
}

/**
 * Kubernetes tells every pod of a namespace about its Services: for one called `countersign` that is
 * `COUNTERSIGN_SERVICE_HOST` and `COUNTERSIGN_PORT=tcp://10.0.0.7:80` among others.
 */
function isServiceLink(variable: string, text: string): boolean {
  if (/_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)$/.test(variable)) return true
  return /_PORT$/.test(variable) && /^(tcp|udp|sctp):\/\//.test(text)
}

function place(target: Record<string, unknown>, [first, ...rest]: string[], value: string): void {
  if (first === undefined) return
  if (rest.length === 0) {
    target[first] = value
    return
  }
  const inner = (target[first] ?? {}) as Record<string, unknown>
  target[first] = inner
  place(inner, rest, value)
}
