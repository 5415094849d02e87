import { type ServiceError, status } from '@grpc/grpc-js'
import { SpiffeError } from '../spiffe-error.ts'

/** What a failed call of the Workload API means to a workload; a SpiffeError stays what it is. */
export function callError(error: unknown, target: string): SpiffeError {
  if (error instanceof SpiffeError) return error
  const { code, details } = error as Partial<ServiceError>
  const said = printable(details ?? String(error))
  if (code === status.PERMISSION_DENIED) {
    return new SpiffeError(
      'no_identity',
      `the agent at ${target} has no identity for this process (${said}); ask the operator for a registration entry, ` +
        `or see why none matches with: countersign workload explain ${process.pid}`,
      { cause: error },
    )
  }
  if (code === status.INVALID_ARGUMENT) {
    return new SpiffeError('invalid_configuration', `the agent at ${target} refused the request: ${said}`, {
      cause: error,
    })
  }
  if (code === status.UNAVAILABLE && !isOfConnection(said)) {
    return new SpiffeError('unavailable', `the agent at ${target} cannot serve this now: ${said}`, { cause: error })
  }
  return new SpiffeError('unavailable', `no answer from the Workload API at ${target}: ${unreachable(said)}`, {
    cause: error,
  })
}

/** The same code is what an agent answers, and what grpc-js says of itself when there is no answer. */
function isOfConnection(said: string): boolean {
  return /No connection established|Connection dropped|Name resolution failed|Received RST_STREAM/.test(said)
}

/** grpc-js tells why it could not connect within a sentence of its own. */
function unreachable(said: string): string {
  switch (/\bconnect (E[A-Z]+)\b/.exec(said)?.[1]) {
    case 'ENOENT':
      return 'there is no such socket; is the agent running, and is this the socket that it serves?'
    case 'ECONNREFUSED':
      return 'nobody listens there; is the agent running?'
    case 'EACCES':
      return 'this user may not open the socket; let everybody pass through its folders'
    default:
      if (said.includes('Protocol error')) return 'what listens there is no Workload API; is this the right socket?'
      return `${withoutWrapping(said)}; is the agent running, and may this process open its socket?`
  }
}

function withoutWrapping(said: string): string {
  return /Last error: (?:Error: )?(.*?)\.?\s*Resolution note:/.exec(said)?.[1] ?? said
}

function printable(text: string): string {
  return text.replace(/[^\x20-\x7e]+/g, ' ').slice(0, 300)
}
