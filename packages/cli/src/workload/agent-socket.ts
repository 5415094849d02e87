import { request } from 'node:http'
import { CliError } from '../cli-error.ts'

export const defaultAdminSocket = '/run/countersign/agent-admin.sock'
/** Longer than the agent waits for a kubelet to know a container: what it has not found out is what one asks for. */
const timeoutSeconds = 45
const largestAnswer = 4 * 1024 * 1024

/**
 * A question to the agent on this machine, by its admin socket.
 * @throws CliError that says what to do when there is no agent, or its answer is no
 */
export async function askAgent<Answer>(socket: string | undefined, path: string): Promise<Answer> {
  const socketPath = (socket ?? process.env.COUNTERSIGN_AGENT_ADMIN_SOCKET ?? defaultAdminSocket).replace(
    /^unix:(\/\/)?/,
    '',
  )
  const { status, text } = await get(socketPath, path).catch((error: NodeJS.ErrnoException) => {
    throw new CliError(faultOf(socketPath, error))
  })
  const answer = parse(text)
  if (status === 200 && answer !== undefined) return answer as Answer
  const { detail, title } = (answer ?? {}) as { detail?: string; title?: string }
  throw new CliError(`the agent at ${socketPath} says: ${detail ?? title ?? `HTTP ${status}`}`)
}

function get(socketPath: string, path: string): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const asked = request({ socketPath, path, timeout: timeoutSeconds * 1_000 }, (response) => {
      let text = ''
      response.setEncoding('utf8')
      response.on('data', (part: string) => {
        text += part
        if (text.length > largestAnswer) asked.destroy(new Error('it answered more than 4 MiB'))
      })
      response.on('end', () => resolve({ status: response.statusCode ?? 0, text }))
      response.on('error', reject)
    })
    asked.on('timeout', () => asked.destroy(new Error(`it did not answer in ${timeoutSeconds} seconds`)))
    asked.on('error', reject)
    asked.end()
  })
}

function faultOf(socketPath: string, error: NodeJS.ErrnoException): string {
  const nameIt = 'name the admin socket of the agent with --agent SOCKET'
  if (error.code === 'ENOENT' || error.code === 'ECONNREFUSED')
    return `no agent listens at ${socketPath}; is it running? If so, ${nameIt}`
  if (error.code === 'EACCES')
    return `you may not ask the agent at ${socketPath}; run this as root, or as the user that the agent runs as`
  if (error.code?.startsWith('HPE_')) return `what listens at ${socketPath} is not an agent's admin socket; ${nameIt}`
  return `the agent at ${socketPath} could not be asked: ${error.message}; is it running?`
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
