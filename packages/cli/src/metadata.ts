import { CliError } from './cli-error.ts'
import { reach } from './reach.ts'
import { readAnswer } from './server-answer.ts'

export interface ServerMetadata {
  issuer: string
  [name: string]: unknown
}

/** The server's metadata (RFC 8414), read from the server's own address: behind a port-forward the issuer is elsewhere. */
export async function readMetadata(url: string): Promise<ServerMetadata> {
  const address = `${url}/.well-known/oauth-authorization-server`
  const document = (await readAnswer(await reach(address), address)) as Record<string, unknown> | undefined
  if (typeof document?.issuer !== 'string')
    throw new CliError(`${address} names no issuer; check that --url names a Countersign server`)
  return document as ServerMetadata
}
