/** An action of the document failed. `cause` says why, for the log; `summary` may be shown to whoever calls. */
export class ActionError extends Error {
  override readonly name = 'ActionError'
  readonly action: string
  readonly code: ActionErrorCode
  readonly summary: string
  /** What the target answered, with code `refused`. */
  readonly status: number | undefined

  constructor(
    action: string,
    code: ActionErrorCode,
    message: string,
    details: { cause?: unknown; status?: number } = {},
  ) {
    super(`action "${action}": ${message}`, details.cause === undefined ? undefined : { cause: details.cause })
    this.status = details.status
    this.action = action
    this.code = code
    this.summary = `action "${action}" failed`
  }
}

export type ActionErrorCode =
  | 'bad_value'
  | 'origin_not_allowed'
  | 'unreachable'
  | 'refused'
  | 'unknown_api'
  | 'not_signed'
  | 'not_published'
