import { adminAudience } from './admin-audience.ts'
import { ServerRefusal } from './server-answer.ts'

/** Adds to the admin API's refusals which command helps; the server speaks to every kind of caller. */
export async function withCure<Result>(path: string, clientId: string, answer: Promise<Result>): Promise<Result> {
  try {
    return await answer
  } catch (error) {
    if (!(error instanceof ServerRefusal) || error.message.includes('countersign ')) throw error
    const cure = cureFor(error, path, clientId)
    throw cure === undefined
      ? error
      : new ServerRefusal(`${error.message}; ${cure}`, error.status, error.reason ?? 'unknown')
  }
}

/** The refusal ends with the scopes that are missing. */
function grantCommand(message: string, clientId: string): string {
  const scopes = message.match(/\b[a-z_]+:(?:read|write)\b/g) ?? ['SCOPE']
  const options = scopes.map((scope) => `--scope ${scope}`).join(' ')
  return `let someone who holds it grant it with: countersign client grant ${clientId} --api ${adminAudience} ${options}`
}

function cureFor({ status, reason, message }: ServerRefusal, path: string, clientId: string): string | undefined {
  if (reason === 'insufficient_scope') return grantCommand(message, clientId)
  if (reason === 'no_trust_domain') return undefined // It says what to do itself.
  const [noun = '', id, part] = path.split('/').slice(1)
  if (status === 404)
    return `see what there is with: ${listCommand(noun, part === undefined ? undefined : decodeURIComponent(id!), part)}`
  if (status === 409 && noun === 'apis' && id === undefined)
    return 'change the one there is with: countersign api update AUDIENCE'
  if (status === 409 && noun === 'clients' && id === undefined)
    return 'change the one there is with: countersign client update ID'
  if (status === 409 && noun === 'entries' && id === undefined)
    return 'see it with: countersign workload list --spiffe-id ID'
  if (status === 409 && part === 'secrets')
    return `revoke one with: countersign client secret revoke ${decodeURIComponent(id!)} SECRET_ID`
  if (status === 409 && noun === 'services' && id !== undefined)
    return `see its keys with: countersign service get ${decodeURIComponent(id)}`
  return undefined
}

function listCommand(noun: string, client: string | undefined, part: string | undefined): string {
  if (noun === 'clients' && client !== undefined && part === 'secrets')
    return `countersign client secret list ${client}`
  if (noun === 'clients' && client !== undefined && part === 'keys') return `countersign client key list ${client}`
  const commands: Record<string, string> = {
    apis: 'countersign api list',
    services: 'countersign service list',
    'signing-keys': 'countersign key list',
    entries: 'countersign workload list',
    nodes: 'countersign node list',
    'join-tokens': 'countersign node token list',
    'certificate-authorities': 'countersign ca list',
    'trust-bundles': 'countersign bundle list',
  }
  return commands[noun] ?? 'countersign client list'
}
