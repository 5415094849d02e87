import type { IncomingHttpHeaders } from 'node:http'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { type Admission, admit } from '../admission.ts'
import { describeError } from '../log/describe-error.ts'
import type { Operation, OperationCall } from '../operation.ts'
import { Problem } from '../problem.ts'
import { isRefusal, type Refusal, reasonOfRefusal } from '../refusal.ts'
import { ServiceError } from '../service-error.ts'
import { sendError, sendResult } from './answer.ts'
import { edgeBody, jsonObject } from './body.ts'
import { contentOf } from './content.ts'
import { restCredentials } from './credentials.ts'
import { restInput } from './input.ts'
import { collected, queryOf } from './query.ts'
import type { RestRuntime } from './rest-transport.ts'

/** One route for each operation that has one. Throws ServiceError `invalid_service` for two at one place. */
export function operationRoutes(app: FastifyInstance, runtime: RestRuntime): void {
  for (const operation of runtime.operations) {
    if (operation.rest === undefined) continue
    const { method, path } = operation.rest
    if (app.hasRoute({ method, url: path }))
      throw new ServiceError(
        'invalid_service',
        `${method} ${path} of "${operation.name}" is taken already; choose another path`,
      )
    app.route({ method, url: path, handler: (request, reply) => serve(operation, runtime, request, reply) })
  }
}

async function serve(operation: Operation, runtime: RestRuntime, request: FastifyRequest, reply: FastifyReply) {
  const startedAt = performance.now()
  let admission: Admission | undefined
  let reason: string | undefined
  try {
    const content = contentOf(request.raw, runtime.settings.maximumBody)
    admission = await admit(operation.authOptions, restCredentials(request.raw, content, runtime), runtime.admission)
    const call = await callOf(operation, admission, request, await content())
    return sendResult(reply, await operation.invoke({ ...call, signal: goneSignal(reply) }))
  } catch (error) {
    const refusal = refusalOf(error, operation, runtime)
    reason = reasonOfRefusal(refusal)
    // What is too large is not waited for; what is left of other contents Node reads and forgets.
    if (refusal.status === 413) reply.header('connection', 'close')
    return sendError(reply, refusal)
  } finally {
    runtime.onCall({
      operation,
      transport: 'rest',
      admission,
      status: reply.statusCode,
      reason,
      milliseconds: performance.now() - startedAt,
    })
  }
}

/** What is neither ours nor the handler's, such as a result that is no JSON. */
function refusalOf(error: unknown, operation: Operation, { log }: RestRuntime): Refusal {
  if (isRefusal(error)) return error
  log.error({ operation: operation.name, err: describeError(error) }, 'an operation could not be answered')
  return new Problem(500, 'operation_failed', "the operation failed; the service's log says why")
}

async function callOf(
  operation: Operation,
  admission: Admission,
  request: FastifyRequest,
  content: Buffer,
): Promise<OperationCall> {
  const { headers, method } = request.raw
  const url = originForm(request.raw.url ?? '/')
  const query = queryOf(url)
  const params = { ...(request.params as Record<string, string>) }
  if (operation.kind === 'businessApi') {
    const body = jsonObject(content, headers)
    return { transport: 'rest', admission, input: restInput({ params, query, body }, operation.input) }
  }
  return {
    transport: 'rest',
    admission,
    request: {
      method: method!,
      path: url.split('?', 1)[0]!,
      url,
      headers: shownHeaders(headers),
      query: collected(query),
      params,
      body: withoutPayload(edgeBody(content, headers)),
      rawBody: content,
    },
  }
}

/** Of an absolute-form (RFC 9112 section 3.2.2) path and query count. */
function originForm(url: string): string {
  return url.startsWith('/') ? url : url.replace(/^[A-Za-z][A-Za-z0-9+.-]*:\/\/[^/?#]*/, '') || '/'
}

/** Without the token, and without what calls itself a verified payload: only the guard says who calls. */
function shownHeaders(headers: IncomingHttpHeaders): IncomingHttpHeaders {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !ownHeader.test(name)))
}

const ownHeader = /^(?:x-)?m2m-?(?:token|payload)$/

/** Only the guard says who calls. */
function withoutPayload(body: unknown): unknown {
  if (typeof body !== 'object' || body === null || !Object.hasOwn(body, 'm2mPayload')) return body
  const { m2mPayload: _, ...rest } = body as Record<string, unknown>
  return rest
}

function goneSignal(reply: FastifyReply): AbortSignal {
  const gone = new AbortController()
  reply.raw.once('close', () => {
    if (!reply.raw.writableFinished) gone.abort(new Problem(499, 'caller_gone', 'whoever called has gone'))
  })
  return gone.signal
}
