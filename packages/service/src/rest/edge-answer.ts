/** What an edge function answers when a JSON value with status 200 is not it. Made by `edgeAnswer`. */
export class EdgeAnswer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: unknown

  constructor(answer: EdgeAnswerOptions) {
    const { status = 200, headers = {}, body } = answer
    if (!Number.isInteger(status) || status < 200 || status > 599)
      throw new RangeError(`an edge function answers with a status from 200 to 599, not ${status}`)
    this.status = status
    this.headers = { ...headers }
    this.body = body
  }
}

export interface EdgeAnswerOptions {
  /** Default 200. */
  readonly status?: number
  readonly headers?: Readonly<Record<string, string>>
  /** A text or bytes go as they are; every other value as JSON. */
  readonly body?: unknown
}

/** For an edge function: `return edgeAnswer({ status: 202, headers: { 'x-id': id }, body: 'accepted' })`. */
export function edgeAnswer(answer: EdgeAnswerOptions): EdgeAnswer {
  return new EdgeAnswer(answer)
}
