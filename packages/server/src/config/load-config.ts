import { readFileSync } from 'node:fs'
import { LineCounter, parseDocument } from 'yaml'
import type { z } from 'zod'
import { type Config, configSchema } from './config-schema.ts'
import { environmentSettings } from './environment.ts'
import { unsafeMtlsSettings } from './mtls-settings.ts'
import { nearestSetting, variableName } from './setting-paths.ts'
import { unsafeSpiffeSettings } from './spiffe-settings.ts'

/** Everything that is wrong with a configuration, a sentence each, with the place. */
export class ConfigError extends Error {
  readonly problems: readonly string[]
  constructor(problems: readonly string[]) {
    super(problems.join('\n'))
    this.name = 'ConfigError'
    this.problems = problems
  }
}

/**
 * Reads the configuration file, if there is one, lays the environment over it, and checks the whole.
 * @throws ConfigError naming file, line, key, and the nearest right key
 */
export function loadConfig(options: { file?: string; environment: NodeJS.ProcessEnv }): Config {
  const file = options.file === undefined ? undefined : readConfigFile(options.file)
  const environment = environmentSettings(options.environment)
  const result = configSchema.safeParse(merge(file?.content ?? {}, environment.content))
  const problems = [...environment.problems]
  if (!result.success) {
    const where = (path: readonly PropertyKey[]) =>
      environment.sourceOf(path) ?? file?.placeOf(path) ?? options.file ?? 'configuration'
    // A misspelt key first: what is then missing may be no more than its consequence.
    const issues = [...result.error.issues].sort((one, other) => rank(one) - rank(other))
    for (const issue of issues) problems.push(...describe(issue, where))
  }
  if (problems.length > 0 || !result.success) throw new ConfigError(problems)
  const unsafe = unsafeSettings(result.data)
  if (unsafe.length > 0) throw new ConfigError(unsafe)
  return result.data
}

function readConfigFile(path: string) {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    const why = (error as NodeJS.ErrnoException).code === 'ENOENT' ? 'there is no such file' : (error as Error).message
    throw new ConfigError([`${path}: ${why}`])
  }
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines, uniqueKeys: true, prettyErrors: false })
  const place = (offset: number) => {
    const { line, col } = lines.linePos(offset)
    return `${path}:${line}:${col}`
  }
  // What follows the first is mostly its echo.
  const [error] = document.errors
  if (error) throw new ConfigError([`${place(error.pos[0])}: ${error.message}`])
  const content = document.toJS({ maxAliasCount: 0 }) ?? {}
  if (typeof content !== 'object' || Array.isArray(content))
    throw new ConfigError([`${path}:1:1: write settings as "name: value" lines`])
  return {
    content: content as Record<string, unknown>,
    placeOf: (path: readonly PropertyKey[]) => keyPlace(document, path, place),
  }
}

/** The place of the key itself, or of the nearest thing around it that there is. */
function keyPlace(
  document: ReturnType<typeof parseDocument>,
  path: readonly PropertyKey[],
  place: (offset: number) => string,
): string | undefined {
  for (let length = path.length; length > 0; length--) {
    const parent = length === 1 ? document.contents : document.getIn(path.slice(0, length - 1), true)
    const items =
      (parent as { items?: { key?: { value?: unknown; range?: number[] }; range?: number[] }[] })?.items ?? []
    const last = path[length - 1]
    const item = typeof last === 'number' ? items[last] : items.find(({ key }) => key?.value === last)
    const offset = item?.key?.range?.[0] ?? item?.range?.[0]
    if (offset !== undefined) return place(offset)
  }
  return undefined
}

function rank(issue: z.core.$ZodIssue): number {
  if (issue.code === 'unrecognized_keys') return 0
  return isMissing(issue) ? 2 : 1
}

function isMissing(issue: z.core.$ZodIssue): boolean {
  return issue.code === 'invalid_type' && issue.input === undefined && /received undefined/.test(issue.message)
}

function describe(issue: z.core.$ZodIssue, where: (path: readonly PropertyKey[]) => string): string[] {
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => {
      const path = [...issue.path, key]
      return `${where(path)}: there is no setting "${path.join('.')}"${nearestSetting(path.join('.'))}`
    })
  }
  const name = issue.path.join('.')
  if (isMissing(issue)) {
    return [`${name} is missing; set it in the file or as ${variableName(issue.path)}`]
  }
  return [`${where(issue.path)}: "${name}": ${issue.message}`]
}

function merge(base: Record<string, unknown>, over: Record<string, unknown>): Record<string, unknown> {
  const merged = { ...base }
  for (const [key, value] of Object.entries(over)) {
    const before = merged[key]
    merged[key] = isObject(before) && isObject(value) ? merge(before, value) : value
  }
  return merged
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

const shortestRotationSeconds = 3600

/** What parses and still must not run. */
function unsafeSettings(config: Config): string[] {
  const unsafe: string[] = []
  const issuer = new URL(config.issuer)
  const loopback = /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(issuer.hostname)
  if (issuer.protocol === 'http:' && !loopback && !config.allow_insecure_issuer) {
    unsafe.push(
      'issuer: tokens fetched over plain http can be read on the way; use https, or set allow_insecure_issuer: true where the network itself is private',
    )
  }
  if (config.keys.publish_ahead >= config.keys.rotation) {
    unsafe.push('keys.publish_ahead must be shorter than keys.rotation, or keys would be replaced before they sign')
  }
  if (config.keys.rotation < shortestRotationSeconds) {
    unsafe.push(
      'keys.rotation must be at least 1h: retired keys are published for a day, and verifiers read no endless sets',
    )
  }
  if (config.spiffe) unsafe.push(...unsafeSpiffeSettings(config.spiffe))
  if (config.mtls) unsafe.push(...unsafeMtlsSettings(config.mtls))
  return unsafe
}
