import type { IncomingMessage, ServerResponse } from 'node:http'
import type { GuardError } from './guard-error.ts'

/** Answers a refused request on a node:http response. */
export function answerRefusal(response: ServerResponse, refusal: GuardError): void {
  const body = Buffer.from(JSON.stringify(refusal.toProblem()))
  response.writeHead(refusal.status, {
    ...refusal.headers(),
    ...closing(refusal, response.req),
    'content-length': body.length,
  })
  response.end(body)
}

/** What is too large to be read is not read to its end either, so nothing can follow it on the same connection. */
export function closing(
  refusal: GuardError,
  request: Pick<IncomingMessage, 'httpVersionMajor'>,
): Record<string, string> {
  return refusal.code === 'body_too_large' && request.httpVersionMajor === 1 ? { connection: 'close' } : {}
}
