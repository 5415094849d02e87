import { GuardConfigurationError } from '../guard-error.ts'
import { configuredName } from './configured-name.ts'
import { stageOf } from './stage.ts'

/** What the environment says of a service that receives; to be spread into `ServiceTokenOptions`. */
export interface ReceiverSettings {
  readonly name: string
  readonly audiences: readonly string[]
  /** The template of JWKS_URL. */
  readonly keys: string
  readonly blockList: readonly string[]
  readonly allowList: readonly string[] | undefined
  readonly enforceLists: boolean
}

const needed = {
  SERVICE_SHORT_NAME: 'the name of this service, such as inventory',
  JWKS_URL: 'where the keys of senders are, such as https://auth.example.com/$service/.well-known/jwks.json',
}

/**
 * Reads SERVICE_SHORT_NAME, JWKS_URL, M2M_AUDIENCES, M2M_BLOCK_LIST, ALLOWED_M2M_CLIENTS, SERVICE_ENV and NODE_ENV.
 * `notices` are for the log at start. Throws GuardConfigurationError naming every variable that is missing, or the one that is wrong.
 */
export function receiverFromEnvironment(env: Readonly<Record<string, string | undefined>> = process.env): {
  options: ReceiverSettings
  notices: readonly string[]
} {
  checkGiven(env)
  const blockList = servicesIn(env, 'M2M_BLOCK_LIST') ?? []
  const allowList = servicesIn(env, 'ALLOWED_M2M_CLIENTS')
  const { named, isProduction: enforceLists } = stageOf(env)
  const options = {
    name: configuredName(givenText(env, 'SERVICE_SHORT_NAME'), 'SERVICE_SHORT_NAME'),
    audiences: listIn(env, 'M2M_AUDIENCES') ?? [],
    keys: givenText(env, 'JWKS_URL'),
    blockList,
    allowList,
    enforceLists,
  }
  const listed = [...(blockList.length > 0 ? ['M2M_BLOCK_LIST'] : []), ...(allowList ? ['ALLOWED_M2M_CLIENTS'] : [])]
  const notices = enforceLists || listed.length === 0 ? [] : [`${named} leaves ${listed.join(' and ')} off`]
  return { options, notices }
}

/** All that is missing at once, a line each, so that a service need not be started once for each. */
function checkGiven(env: Readonly<Record<string, string | undefined>>): void {
  const missing = (Object.keys(needed) as (keyof typeof needed)[]).filter((name) => givenText(env, name) === '')
  if (missing.length === 0) return
  throw new GuardConfigurationError(missing.map((name) => `${name} is not set; it says ${needed[name]}`).join('\n'))
}

function servicesIn(env: Readonly<Record<string, string | undefined>>, name: string): readonly string[] | undefined {
  const entries = listIn(env, name)
  for (const entry of entries ?? []) configuredName(entry, name)
  return entries
}

/** Separated by commas. Empty is as good as not set; but commas alone are somebody's list that got lost. */
function listIn(env: Readonly<Record<string, string | undefined>>, name: string): readonly string[] | undefined {
  const text = (env[name] ?? '').trim()
  if (text === '') return undefined
  const entries = text.split(',').flatMap((entry) => (entry.trim() === '' ? [] : [entry.trim()]))
  if (entries.length > 0) return entries
  throw new GuardConfigurationError(`${name} has commas and no name; name the services, or leave it out`)
}

function givenText(env: Readonly<Record<string, string | undefined>>, name: keyof typeof needed): string {
  return (env[name] ?? '').trim()
}
