import { resolve } from 'node:path'
import { createAgent, readAgentSettings } from '@countersign/agent'
import pino from 'pino'

type Flags = readonly (readonly [setting: string, value: string | boolean | undefined])[]

/**
 * The agent of this machine, until it is closed; its log is JSON on stdout. Where the server removes this node the
 * process ends with 1.
 * @throws AgentSettingsError, AgentError
 */
export async function runAgent({
  config,
  flags,
  version,
}: {
  config: string | undefined
  flags: Flags
  version?: string | undefined
}): Promise<{ close(): Promise<void> }> {
  const file = config ?? process.env.COUNTERSIGN_AGENT_CONFIG
  const { COUNTERSIGN_AGENT_CONFIG: _file, ...environment } = process.env
  const options = await readAgentSettings({
    ...(file !== undefined && { file: resolve(file) }),
    environment,
    flags: Object.fromEntries(flags.map(readFlag)),
  })
  const log = pino({ base: undefined })
  const agent = createAgent({ ...options, log, ...(version !== undefined && { version }) })
  await agent.start()
  void agent.removed.then((error) => {
    log.fatal({ reason: error.message }, 'agent ended')
    process.exit(1)
  })
  void agent.ready.then(() => log.info({ ...agent.status(), socket: options.socket }, 'agent ready'))
  return { close: () => agent.stop() }
}

/** Paths count from here. */
function readFlag([setting, value]: Flags[number]): [string, unknown] {
  if (typeof value !== 'string') return [setting, value]
  return [setting, /(_file|_dir|socket)$/.test(setting) ? resolve(value) : value]
}
