import type { FastifyError, FastifyInstance, FastifyReply } from 'fastify'
import { StoreError } from '../storage/store.ts'

/** A refusal of the admin API and of everything that is not an OAuth endpoint (RFC 9457). */
export class Problem extends Error {
  readonly status: number
  readonly code: string
  readonly extra: Record<string, unknown>

  /** @param detail a sentence that says what to do next */
  constructor(status: number, code: string, detail: string, extra: Record<string, unknown> = {}) {
    super(detail)
    this.name = 'Problem'
    this.status = status
    this.code = code
    this.extra = extra
  }
}

const titles: Record<number, string> = {
  400: 'Malformed request',
  401: 'Not authenticated',
  403: 'Not allowed',
  404: 'Not found',
  405: 'Method not allowed',
  409: 'Conflict',
  413: 'Too large',
  415: 'Wrong media type',
  422: 'Invalid',
  429: 'Too many requests',
  500: 'Server error',
  503: 'Temporarily unavailable',
}

export function sendProblem(reply: FastifyReply, problem: Problem): FastifyReply {
  if (problem.status === 503 && !reply.hasHeader('retry-after')) reply.header('retry-after', '1')
  return reply
    .code(problem.status)
    .type('application/problem+json')
    .send({
      type: 'about:blank',
      title: titles[problem.status] ?? 'Error',
      status: problem.status,
      code: problem.code,
      detail: problem.message,
      ...problem.extra,
    })
}

/** For what fails before there is a route, such as a URL that cannot be decoded. */
export function answerFrameworkError(error: FastifyError, _request: unknown, reply: FastifyReply): void {
  sendProblem(reply, asProblem(error))
}

/** Has every error and every unknown path answered as a problem; what we did not foresee is logged, never shown. */
export function answerWithProblems(app: FastifyInstance): void {
  app.setErrorHandler((error: FastifyError, request, reply) => {
    const problem = asProblem(error)
    if (problem.status === 500) request.log.error({ err: error }, 'a request failed')
    return sendProblem(reply, problem)
  })
  app.setNotFoundHandler((request, reply) =>
    sendProblem(
      reply,
      new Problem(
        404,
        'not_found',
        `there is nothing at ${request.method} ${request.url.split('?')[0]?.slice(0, 200)}${signpost(request.url)}`,
      ),
    ),
  )
}

/** Has a clash in the store told as what it is here. */
export async function conflictIs<Result>(sentence: string, work: Promise<Result>): Promise<Result> {
  try {
    return await work
  } catch (error) {
    if (error instanceof StoreError && error.code === 'conflict') throw new Problem(409, 'conflict', sentence)
    throw error
  }
}

/** Whoever opens the issuer in a browser should find on. */
function signpost(url: string): string {
  return url === '/'
    ? '; see /.well-known/oauth-authorization-server for the endpoints, /api/v1/docs for the admin API'
    : ''
}

function asProblem(error: FastifyError): Problem {
  if (error instanceof Problem) return error
  if (error instanceof StoreError) {
    if (error.code === 'conflict')
      return new Problem(409, 'conflict', 'there is one of this name already, or something still refers to it')
    return new Problem(503, 'unavailable', 'the database does not answer: try again')
  }
  // A limiter that cannot decide refuses.
  if (error.code === 'store_unavailable' || error.code === 'capacity') {
    return new Problem(503, 'unavailable', 'the server cannot count what it must: try again')
  }
  if (error.validation) return new Problem(422, 'invalid', error.message)
  const status = error.statusCode ?? 500
  if (status === 415) return new Problem(415, 'unsupported_media_type', 'send application/json')
  if (status === 413) return new Problem(413, 'too_large', 'the request body is too large')
  if (status >= 400 && status < 500) return new Problem(status, 'malformed', 'the request is malformed')
  return new Problem(500, 'server_error', 'the server failed; its log says why')
}
