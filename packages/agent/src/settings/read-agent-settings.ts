import { statSync } from 'node:fs'
import { isAbsolute } from 'node:path'
import { parseTrustDomain } from '@countersign/spiffe'
import { parseDuration } from '@countersign/tokens/duration'
import { AgentError, reasonOf } from '../agent-error.ts'
import { type AgentOptions, defaultSocket } from '../agent-options.ts'
import { createDockerAttestor } from '../attestors/docker.ts'
import { createKubernetesAttestor } from '../attestors/kubernetes.ts'
import { createSystemdAttestor } from '../attestors/systemd.ts'
import { createUnixAttestor } from '../attestors/unix.ts'
import type { WorkloadAttestor } from '../attestors/workload-attestor.ts'
import type { NodeCredential } from '../node-attestation/node-attestors.ts'
import { type Bootstrap, isLoopback } from '../server-connection/bootstrap.ts'
import { type GivenSettings, settingsInEnvironment, settingsInFile, settingsInFlags } from './given-settings.ts'
import { agentSettings, flagName, type SettingKind, variableName } from './setting-table.ts'

const defaultPort = 8081

/** Everything that is wrong with the agent's settings, a sentence each, with the place. */
export class AgentSettingsError extends AgentError {
  readonly problems: readonly string[]
  constructor(problems: readonly string[]) {
    super('invalid_configuration', problems.join('\n'))
    this.name = 'AgentSettingsError'
    this.problems = problems
  }
}

/**
 * Reads the file, if there is one, lays the environment over it and the flags over both, and checks the whole.
 * @param sources.flags by setting name, such as `trust_domain` or `node.join_token`
 * @returns what `createAgent` takes
 * @throws AgentSettingsError naming each unknown, malformed or unsafe setting and its place
 */
export async function readAgentSettings(sources: {
  file?: string
  environment: NodeJS.ProcessEnv
  flags?: Readonly<Record<string, unknown>>
}): Promise<AgentOptions> {
  const problems: string[] = []
  const written = sources.file === undefined ? [] : await settingsInFile(sources.file, problems)
  // Of a file that cannot be read nothing is known: what else is missing would only hide that.
  if (written === undefined) throw new AgentSettingsError(problems)
  const given: GivenSettings = new Map([
    ...written,
    ...settingsInEnvironment(sources.environment, problems),
    ...settingsInFlags(sources.flags ?? {}, problems),
  ])
  const settings = new Settings(given, problems)
  const options = agentOptions(settings, sources.file)
  if (problems.length > 0) throw new AgentSettingsError(problems)
  return options
}

function agentOptions(settings: Settings, file: string | undefined): AgentOptions {
  const known = { server: serverAddress(settings), trustDomain: trustDomain(settings), bootstrap: bootstrap(settings) }
  const socket = settings.text('socket') ?? defaultSocket
  const adminSocket = settings.text('admin_socket') ?? '/run/countersign/agent-admin.sock'
  if (socket === adminSocket) settings.problem('admin_socket', 'is the socket of the workloads; choose another path')
  const node = nodeCredential(settings, file)
  const dataDirectory = settings.text('data_dir')
  if (node === undefined && dataDirectory === undefined)
    settings.missing(
      'node.join_token_file',
      'or node.x509pop, or node.k8s_psat: without one this node cannot attest itself',
    )
  return {
    ...known,
    ...(node && { node }),
    socket,
    adminSocket,
    ...(dataDirectory !== undefined && { dataDirectory }),
    syncIntervalSeconds: settings.number('sync_interval', 1, 600) ?? 5,
    graceSeconds: settings.number('grace', 0, 86_400) ?? 30,
    prefetch: settings.number('prefetch', 0, 100_000) ?? 1_000,
    attestors: attestors(settings),
  }
}

function serverAddress(settings: Settings): string {
  const text = settings.text('server')
  if (text === undefined) return settings.missing('server', "the server's node API, HOST:PORT")
  if (/^(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+):\d{1,5}$/.test(text)) return text
  if (/^(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)$/.test(text)) return `${text}:${defaultPort}`
  return settings.problem('server', 'is not HOST:PORT; write it like countersign.internal:8081')
}

function trustDomain(settings: Settings): string {
  const text = settings.text('trust_domain')
  if (text === undefined) return settings.missing('trust_domain', 'the trust domain that the server issues for')
  try {
    return parseTrustDomain(text)
  } catch (error) {
    return settings.problem('trust_domain', `cannot be used: ${reasonOf(error)}`)
  }
}

function bootstrap(settings: Settings): Bootstrap {
  const bundleFile = settings.text('bootstrap.bundle_file')
  const bundleUrl = settings.text('bootstrap.bundle_url')
  const caFile = settings.text('bootstrap.bundle_url_ca_file')
  const insecure = settings.on('bootstrap.insecure') === true
  const count = [bundleFile, bundleUrl, insecure || undefined].filter((given) => given !== undefined).length
  if (count > 1)
    settings.problem(
      insecure ? 'bootstrap.insecure' : 'bootstrap.bundle_url',
      'is one of several ways to know the server; keep one',
    )
  if (caFile !== undefined && bundleUrl === undefined)
    settings.problem('bootstrap.bundle_url_ca_file', 'is of no use without bootstrap.bundle_url')
  if (bundleFile !== undefined) return { bundleFile }
  if (insecure) return { insecure: true }
  if (bundleUrl === undefined) {
    settings.missing(
      'bootstrap.bundle_file',
      'or bootstrap.bundle_url: by what is the server known? (bootstrap.insecure believes anybody)',
    )
    return { insecure: true }
  }
  const url = URL.parse(bundleUrl)
  if (url === null || !/^https?:$/.test(url.protocol)) settings.problem('bootstrap.bundle_url', 'is no https URL')
  else if (url.protocol === 'http:' && !isLoopback(url.hostname))
    settings.problem(
      'bootstrap.bundle_url',
      'is plain http: whoever sits in between could give his own bundle; use https, or a bundle_file',
    )
  return { bundleUrl, ...(caFile !== undefined && { caFile }) }
}

function nodeCredential(settings: Settings, file: string | undefined): NodeCredential | undefined {
  const token = settings.text('node.join_token')
  const joinTokenFile = settings.text('node.join_token_file')
  const certificateFile = settings.text('node.x509pop.cert_file')
  const keyFile = settings.text('node.x509pop.key_file')
  const cluster = settings.text('node.k8s_psat.cluster')
  const tokenFile = settings.text('node.k8s_psat.token_file') ?? '/var/run/secrets/tokens/countersign-agent'
  const ways = [token, joinTokenFile, certificateFile ?? keyFile, cluster].filter((given) => given !== undefined)
  if (ways.length > 1) {
    settings.problem(
      ['node.join_token', 'node.join_token_file'].find((name) => settings.text(name)) ?? 'node.k8s_psat.cluster',
      'is one of several ways to attest this node; keep one',
    )
    return { joinToken: '' } // so that none is said to be missing
  }
  if (token !== undefined) {
    if (file !== undefined && settings.placeOf('node.join_token').startsWith(`${file}:`) && isReadableByOthers(file))
      settings.problem(
        'node.join_token',
        `is a secret in a file that others may read; close it to them: chmod 600 ${file}`,
      )
    return { joinToken: token }
  }
  if (joinTokenFile !== undefined) return { joinTokenFile }
  if (cluster !== undefined) return { k8sPsat: { cluster, tokenFile } }
  if (certificateFile === undefined && keyFile === undefined) return undefined
  if (certificateFile === undefined)
    settings.missing('node.x509pop.cert_file', 'the certificate of node.x509pop.key_file')
  if (keyFile === undefined) settings.missing('node.x509pop.key_file', 'the key of node.x509pop.cert_file')
  else if (isReadableByOthers(keyFile))
    settings.problem(
      'node.x509pop.key_file',
      `names a private key that everybody may read; close it to them: chmod 600 ${keyFile}`,
    )
  return { x509pop: { certificateFile: certificateFile ?? '', keyFile: keyFile ?? '' } }
}

function attestors(settings: Settings): WorkloadAttestor[] {
  const chosen: WorkloadAttestor[] = []
  if (settings.on('attestors.unix.enabled') !== false)
    chosen.push(
      createUnixAttestor({
        ...defined('binary', settings.on('attestors.unix.binary')),
        ...defined('maxBinaryBytes', settings.number('attestors.unix.max_binary_bytes', 1, 2 ** 40)),
      }),
    )
  if (settings.on('attestors.systemd.enabled')) chosen.push(createSystemdAttestor())
  if (settings.on('attestors.docker.enabled'))
    chosen.push(
      createDockerAttestor({
        ...defined('socket', settings.text('attestors.docker.socket')),
        ...defined('controlGroupParents', settings.list('attestors.docker.control_group_parents')),
      }),
    )
  if (settings.on('attestors.k8s.enabled')) chosen.push(kubernetesAttestor(settings))
  if (chosen.length === 0)
    settings.problem('attestors.unix.enabled', 'leaves no attestor: no workload could be told from another')
  return chosen
}

function kubernetesAttestor(settings: Settings): WorkloadAttestor {
  const name = (last: string) => `attestors.k8s.kubelet.${last}`
  return createKubernetesAttestor({
    ...defined('controlGroupRoot', settings.text('attestors.k8s.control_group_root')),
    kubelet: {
      ...defined('host', settings.text(name('host'))),
      ...defined('serverName', settings.text(name('server_name'))),
      ...defined('port', settings.number(name('port'), 1, 65_535)),
      ...defined('readOnlyPort', settings.number(name('read_only_port'), 1, 65_535)),
      ...defined('caFile', settings.text(name('ca_file'))),
      ...defined('insecureSkipVerify', settings.on(name('insecure_skip_verify'))),
      ...defined('tokenFile', settings.text(name('token_file'))),
      ...defined('certificateFile', settings.text(name('cert_file'))),
      ...defined('keyFile', settings.text(name('key_file'))),
    },
  })
}

function defined<Key extends string, Value>(key: Key, value: Value | undefined): { [key in Key]?: Value } {
  return value === undefined ? {} : ({ [key]: value } as { [key in Key]: Value })
}

function isReadableByOthers(path: string): boolean {
  const found = statSync(path, { throwIfNoEntry: false })
  return found !== undefined && (found.mode & 0o004) !== 0
}

/** The settings as given, read by kind; whatever is wrong is noted with its place. */
class Settings {
  readonly #given: GivenSettings
  readonly #problems: string[]

  constructor(given: GivenSettings, problems: string[]) {
    this.#given = given
    this.#problems = problems
    for (const { name, kind } of agentSettings) this.#check(name, kind)
  }

  text(name: string): string | undefined {
    const value = this.#given.get(name)?.value
    return value === undefined || value === null ? undefined : String(value)
  }

  number(name: string, least: number, most: number): number | undefined {
    const text = this.text(name)
    const value = text === undefined ? undefined : (parseDuration(text) ?? Number(text))
    if (value === undefined || Number.isNaN(value)) return undefined
    if (value >= least && value <= most) return value
    this.problem(name, `must be from ${least} to ${most}`)
    return undefined
  }

  on(name: string): boolean | undefined {
    const text = this.text(name)
    return text === undefined ? undefined : text === 'true'
  }

  list(name: string): string[] | undefined {
    const value = this.#given.get(name)?.value
    if (value === undefined) return undefined
    return Array.isArray(value) ? value.map(String) : String(value).split(',')
  }

  placeOf(name: string): string {
    return this.#given.get(name)?.place ?? ''
  }

  /** @returns an empty text, so that reading can go on and find more */
  problem(name: string, what: string): string {
    this.#problems.push(`${this.placeOf(name) || 'settings'}: "${name}" ${what}`)
    return ''
  }

  missing(name: string, what: string): string {
    this.#problems.push(
      `${name} is missing: ${what}; give it as ${flagName(name)}, in the file, or as ${variableName(name)}`,
    )
    return ''
  }

  #check(name: string, kind: SettingKind): void {
    const value = this.#given.get(name)?.value
    if (value === undefined) return
    const complaint = complaintAbout(value, kind)
    if (complaint === undefined) return
    this.problem(name, complaint)
    this.#given.delete(name)
  }
}

function complaintAbout(value: unknown, kind: SettingKind): string | undefined {
  if (kind === 'list' && Array.isArray(value) && value.every((item) => typeof item === 'string')) return undefined
  if (typeof value === 'object') return 'must be a single value'
  const text = String(value)
  switch (kind) {
    case 'path':
      return isAbsolute(text) ? undefined : 'must be a path from the root, like /etc/countersign/bundle.pem'
    case 'duration':
      return parseDuration(text) === undefined ? 'must be a duration, like 5s or 1m' : undefined
    case 'count':
      return /^\d{1,12}$/.test(text) ? undefined : 'must be a whole number'
    case 'switch':
      return text === 'true' || text === 'false' ? undefined : 'must be true or false'
    default:
      return text === '' ? 'is empty' : undefined
  }
}
