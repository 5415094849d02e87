import { STATUS_CODES } from 'node:http'
import type { FastifyReply } from 'fastify'
import { Problem } from '../problem.ts'
import type { Refusal } from '../refusal.ts'
import { EdgeAnswer } from './edge-answer.ts'

/** Answers with what a handler gave: JSON, nothing (204), or an edge function's own answer. */
export function sendResult(reply: FastifyReply, result: unknown): FastifyReply {
  if (result instanceof EdgeAnswer) return sendOwn(reply, result)
  return sendContent(reply.code(result === undefined ? 204 : 200), result)
}

/** Answers with RFC 9457 problem details. */
export function sendProblem(reply: FastifyReply, problem: Problem): FastifyReply {
  if (problem.status === 503 && !reply.hasHeader('retry-after')) reply.header('retry-after', '1')
  const { status, code, message: detail, extra } = problem
  const body = { type: 'about:blank', title: STATUS_CODES[status] ?? 'Error', ...extra, status, code, detail }
  return reply
    .code(status)
    .header('content-type', 'application/problem+json')
    .header('cache-control', 'no-store')
    .send(Buffer.from(JSON.stringify(body)))
}

/** Answers whoever was not let in, in the guard's own words. */
export function sendError(reply: FastifyReply, error: Refusal): FastifyReply {
  if (error instanceof Problem) return sendProblem(reply, error)
  return reply
    .code(error.status)
    .headers(error.headers())
    .send(Buffer.from(JSON.stringify(error.toProblem())))
}

function sendOwn(reply: FastifyReply, { status, headers, body }: EdgeAnswer): FastifyReply {
  reply.code(status).headers(headers)
  if (typeof body === 'string' || ArrayBuffer.isView(body)) return sendBytes(reply, body)
  return sendContent(reply, body)
}

function sendBytes(reply: FastifyReply, body: string | ArrayBufferView): FastifyReply {
  if (!reply.hasHeader('content-type'))
    reply.header('content-type', typeof body === 'string' ? 'text/plain; charset=utf-8' : 'application/octet-stream')
  return reply.send(
    typeof body === 'string' ? Buffer.from(body) : Buffer.from(body.buffer, body.byteOffset, body.byteLength),
  )
}

function sendContent(reply: FastifyReply, value: unknown): FastifyReply {
  if (value === undefined) return reply.send()
  if (!reply.hasHeader('content-type')) reply.header('content-type', 'application/json; charset=utf-8')
  return reply.send(Buffer.from(JSON.stringify(value)))
}
