import { GuardError } from '../guard-error.ts'

/** The content is longer than the guard reads to check it. */
export function contentTooLarge(maximumBytes: number): GuardError {
  return new GuardError({
    code: 'body_too_large',
    reason: 'body_too_large',
    message: `The content of a request with a service token may have at most ${maximumBytes} bytes here.`,
    realm: '',
  })
}

/** A fault of the receiver's set-up, which whoever set it up must read. */
export function contentAlreadyRead(): GuardError {
  return new GuardError({
    code: 'body_already_read',
    reason: 'body_already_read',
    message:
      'Something read the content before the guard could check it against the service token; in the receiver, put the guard before any body parser.',
    realm: '',
  })
}

/** The sender went away in the middle; nobody is there to read this. */
export function contentIncomplete(cause?: unknown): GuardError {
  return new GuardError({
    code: 'invalid_request',
    reason: 'incomplete_content',
    message: 'The content of the request ended before it was complete.',
    realm: '',
    cause,
  })
}
