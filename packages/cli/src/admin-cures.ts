import { ServerRefusal } from './server-answer.ts'

/** Adds to the admin API's refusals which command helps; the server speaks to every kind of caller. */
export async function withCure<Result>(path: string, answer: Promise<Result>): Promise<Result> {
  try {
    return await answer
  } catch (error) {
    if (!(error instanceof ServerRefusal) || error.message.includes('countersign ')) throw error
    const cure = cureFor(path, error.status)
    throw cure === undefined
      ? error
      : new ServerRefusal(`${error.message}; ${cure}`, error.status, error.reason ?? 'unknown')
  }
}

function cureFor(path: string, status: number): string | undefined {
  const [noun = '', id, part] = path.split('/').slice(1)
  if (status === 404)
    return `see what there is with: ${listCommand(noun, part === undefined ? undefined : decodeURIComponent(id!), part)}`
  if (status === 409 && noun === 'apis' && id === undefined)
    return 'change the one there is with: countersign api update AUDIENCE'
  if (status === 409 && noun === 'clients' && id === undefined)
    return 'change the one there is with: countersign client update ID'
  if (status === 409 && part === 'secrets')
    return `revoke one with: countersign client secret revoke ${decodeURIComponent(id!)} SECRET_ID`
  return undefined
}

function listCommand(noun: string, client: string | undefined, part: string | undefined): string {
  if (noun === 'clients' && client !== undefined && part === 'secrets')
    return `countersign client secret list ${client}`
  if (noun === 'clients' && client !== undefined && part === 'keys') return `countersign client key list ${client}`
  const commands: Record<string, string> = { apis: 'countersign api list', 'signing-keys': 'countersign key list' }
  return commands[noun] ?? 'countersign client list'
}
