import { boundedBody } from '@countersign/outbound/bounded-body'
import { ActionError } from './action-error.ts'

/** A call whose answer is read within bounds of size and time. */
export interface HttpExchange {
  readonly action: string
  readonly url: URL
  readonly method: string
  readonly headers?: Readonly<Record<string, string>>
  /** A text goes as it is; what else there is goes as JSON. */
  readonly body?: unknown
  readonly timeoutMilliseconds: number
}

/**
 * Sends and gives the answer's content: JSON as a value, other texts as text, undefined where there is none.
 * Rejects with ActionError `refused` for any status but 2xx, `unreachable`, `bad_value`.
 */
export async function exchange(send: typeof fetch, call: HttpExchange): Promise<unknown> {
  const { action, url, method } = call
  const deadline = AbortSignal.timeout(call.timeoutMilliseconds)
  const request = requestOf(call)
  try {
    const response = await send(url, { ...request, signal: deadline, redirect: 'error' })
    const tooLarge = () => new Error(`the answer has more than ${longestAnswer} bytes`)
    const content = (await boundedBody(response.body, longestAnswer, tooLarge)).toString('utf8')
    if (response.ok) return contentValue(content, response)
    throw new ActionError(
      action,
      'refused',
      `${method} ${url.origin}${url.pathname} answered ${response.status}${reasonOf(content)}`,
      {
        status: response.status,
      },
    )
  } catch (cause) {
    if (cause instanceof ActionError) throw cause
    const late = deadline.aborted ? ` within ${call.timeoutMilliseconds} ms` : ''
    throw new ActionError(action, 'unreachable', `${method} ${url.origin}${url.pathname} was not answered${late}`, {
      cause,
    })
  }
}

function requestOf({ action, method, headers = {}, body }: HttpExchange): RequestInit {
  const sent = body === undefined || body === null ? undefined : typeof body === 'string' ? body : JSON.stringify(body)
  if (sent !== undefined && method === 'GET')
    throw new ActionError(action, 'bad_value', 'a GET has no body; give params instead')
  try {
    const all = new Headers(headers)
    if (sent !== undefined && typeof body !== 'string' && !all.has('content-type'))
      all.set('content-type', 'application/json')
    return { method, headers: all, ...(sent === undefined ? {} : { body: sent }) }
  } catch {
    throw new ActionError(action, 'bad_value', 'a header has a name or value that HTTP does not allow')
  }
}

function contentValue(content: string, response: Response): unknown {
  if (content === '') return undefined
  if (!/[/+]json(;|$)/i.test(response.headers.get('content-type') ?? '')) return content
  return JSON.parse(content)
}

/** What a service of ours says with a refusal is worth a line in the log; nobody else's answer is. */
function reasonOf(content: string): string {
  try {
    const { code, reason } = JSON.parse(content) as Record<string, unknown>
    const words = [code, reason].filter((word) => typeof word === 'string' && /^\w{1,40}$/.test(word))
    return words.length > 0 ? ` (${words.join(', ')})` : ''
  } catch {
    return ''
  }
}

const longestAnswer = 8 * 1024 * 1024
