import type { ServerResponse } from 'node:http'
import type { GuardError } from './guard-error.ts'

/** Answers a refused request on a node:http response. */
export function answerRefusal(response: ServerResponse, refusal: GuardError): void {
  const body = Buffer.from(JSON.stringify(refusal.toProblem()))
  response.writeHead(refusal.status, { ...refusal.headers(), 'content-length': body.length })
  response.end(body)
}
