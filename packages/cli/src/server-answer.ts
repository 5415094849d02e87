import { boundedBody } from '@countersign/outbound/bounded-body'
import { CliError } from './cli-error.ts'
import { printable } from './printable.ts'

/** A refusal by the server; `reason` is the code of its problem document (RFC 9457) or its OAuth error. */
export class ServerRefusal extends CliError {
  readonly status: number

  constructor(message: string, status: number, code: string) {
    super(message, 1, code)
    this.status = status
  }
}

const longestAnswer = 64 * 1024 * 1024

/** The JSON of a good answer; undefined for an empty one. @throws ServerRefusal with the server's own sentence */
export async function readAnswer(response: Response, url: string): Promise<unknown> {
  const tooLarge = () => new CliError('the server answered with more than 64 MiB; ask for less at once')
  const text = (await boundedBody(response.body, longestAnswer, tooLarge)).toString('utf8')
  if (!response.ok) throw refusal(response, text, url)
  if (text === '') return undefined
  try {
    return JSON.parse(text)
  } catch {
    throw new CliError(`${url} answered with something that is no JSON; check that --url names a Countersign server`)
  }
}

function refusal(response: Response, text: string, url: string): ServerRefusal {
  const { status } = response
  if (status >= 300 && status < 400) {
    return new ServerRefusal(
      `${url} redirects (${status}), which is not followed with a credential; give the final address as --url`,
      status,
      'redirected',
    )
  }
  const problem = parseObject(text)
  // The OAuth endpoints answer as RFC 6749 section 5.2 says, everything else as RFC 9457.
  const code = asText(problem.code) ?? asText(problem.error) ?? 'unknown'
  const detail = asText(problem.detail) ?? asText(problem.error_description) ?? asText(problem.title)
  if (detail === undefined) {
    return new ServerRefusal(`${url} answered ${status}; check that --url names a Countersign server`, status, code)
  }
  const cure = cures[status]
  return new ServerRefusal(
    printable(`${detail}${faults(problem.errors, detail)}${cure ? `; ${cure}` : ''}`),
    status,
    code,
  )
}

const cures: Record<number, string> = {
  401: 'log in again with: countersign login',
  429: 'wait a little and try again',
  503: 'look at the server with: countersign doctor',
}

/** The single faults of a 422, each with its place, as far as the sentence does not name them already. */
function faults(errors: unknown, detail: string): string {
  if (!Array.isArray(errors)) return ''
  const all = errors.map((error) => ({ path: asText(error?.path) ?? '', message: asText(error?.message) ?? '' }))
  const untold = all.filter(({ message }) => message !== '' && !detail.includes(message))
  if (untold.length === 0) return ''
  const told = untold.map(({ path, message }) => (path === '' ? message : `${path}: ${message}`))
  return `${untold.length === all.length ? ': ' : '; '}${told.join('; ')}`
}

function parseObject(text: string): Record<string, unknown> {
  try {
    const value = JSON.parse(text)
    return typeof value === 'object' && value !== null ? value : {}
  } catch {
    return {}
  }
}

function asText(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined
}
