import { readFileSync, statSync } from 'node:fs'
import { agentSettings, flagName, nearestSetting, variableName } from './setting-table.ts'

/** What somebody wrote down, with where. */
export interface Given {
  readonly value: unknown
  /** `agent.yaml:3:1`, `COUNTERSIGN_AGENT_SOCKET` or `--socket` */
  readonly place: string
}

/** Settings by name; of what is given twice the nearer one. */
export type GivenSettings = Map<string, Given>

const names = agentSettings.map(({ name }) => name)

/**
 * Reads the YAML file. What is wrong with it is added to `problems`; undefined when it cannot be read at all.
 *
 * The parser is loaded only for this: an agent that gets its settings otherwise does without its memory.
 */
export async function settingsInFile(path: string, problems: string[]): Promise<GivenSettings | undefined> {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    const why = (error as NodeJS.ErrnoException).code === 'ENOENT' ? 'there is no such file' : (error as Error).message
    problems.push(`${path}: ${why}`)
    return undefined
  }
  if ((statSync(path).mode & 0o022) !== 0)
    problems.push(
      `${path}: others may write in it and so decide whom the agent believes; close it to them: chmod go-w ${path}`,
    )
  const { isMap, isScalar, LineCounter, parseDocument } = await import('yaml')
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines, uniqueKeys: true, prettyErrors: false })
  const place = (offset: number) => {
    const { line, col } = lines.linePos(offset)
    return `${path}:${line}:${col}`
  }
  const [error] = document.errors
  if (error) {
    problems.push(`${place(error.pos[0])}: ${error.message}`)
    return undefined
  }
  const given: GivenSettings = new Map()
  const walk = (node: unknown, prefix: string) => {
    if (!isMap(node)) return
    for (const { key, value } of node.items) {
      const name = `${prefix}${isScalar(key) ? String(key.value) : '?'}`
      const at = place(isScalar(key) ? (key.range?.[0] ?? 0) : 0)
      if (names.includes(name)) {
        const plain = document.getIn(name.split('.'))
        given.set(name, { value: isPlain(plain) ? plain : (plain as { toJSON(): unknown }).toJSON(), place: at })
      } else if (names.some((known) => known.startsWith(`${name}.`)) && (isMap(value) || value === null)) {
        walk(value, `${name}.`)
      } else {
        problems.push(`${at}: there is no setting "${name}"${nearestSetting(name, names)}`)
      }
    }
  }
  if (document.contents !== null && !isMap(document.contents))
    problems.push(`${path}:1:1: write settings as "name: value" lines`)
  walk(document.contents, '')
  return given
}

/**
 * Reads `COUNTERSIGN_AGENT_*`. With `_FILE` at the end the value is read from that file (a mounted secret), without the
 * line break at its end.
 */
export function settingsInEnvironment(environment: NodeJS.ProcessEnv, problems: string[]): GivenSettings {
  const given: GivenSettings = new Map()
  const byVariable = new Map(names.map((name) => [variableName(name), name]))
  for (const [variable, text] of Object.entries(environment)) {
    if (!variable.startsWith('COUNTERSIGN_AGENT_') || text === undefined || text === '') continue
    const fromFile = !byVariable.has(variable) && variable.endsWith('_FILE')
    const name = byVariable.get(fromFile ? variable.slice(0, -'_FILE'.length) : variable)
    if (name === undefined) {
      problems.push(`${variable}: there is no such setting${nearestSetting(variable, [...byVariable.keys()])}`)
    } else if (given.has(name)) {
      problems.push(`${variable}: ${given.get(name)?.place} sets the same; keep one of them`)
    } else {
      try {
        given.set(name, { value: fromFile ? readFileSync(text, 'utf8').replace(/\r?\n$/, '') : text, place: variable })
      } catch (error) {
        problems.push(
          `${variable}: ${text} cannot be read (${(error as NodeJS.ErrnoException).code}); name the file that holds the value`,
        )
      }
    }
  }
  return given
}

/** Flags by setting name; undefined ones were not given. */
export function settingsInFlags(flags: Readonly<Record<string, unknown>>, problems: string[]): GivenSettings {
  const given: GivenSettings = new Map()
  for (const [name, value] of Object.entries(flags)) {
    if (value === undefined) continue
    const place = flagName(name)
    if (names.includes(name)) given.set(name, { value, place })
    else problems.push(`${place}: there is no setting "${name}"${nearestSetting(name, names)}`)
  }
  return given
}

function isPlain(value: unknown): boolean {
  return value === null || typeof value !== 'object'
}
