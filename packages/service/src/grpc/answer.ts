import { GuardError } from '@countersign/guard'
import { type GrpcRefusal, grpcRefusalOf } from '@countersign/guard/grpc'
import { Metadata, status } from '@grpc/grpc-js'
import type { Refusal } from '../refusal.ts'

/** A status of gRPC, as grpc-js takes it. */
export interface GrpcStatus {
  readonly code: status
  readonly details: string
  readonly metadata: Metadata
}

/** How a call that failed is answered: `problem-code` for programs, and the whole problem as JSON in `problem-bin`. */
export function statusOf(error: Refusal): GrpcStatus {
  if (error instanceof GuardError) return withTrailers(grpcRefusalOf(error))
  const { status: httpStatus, code, message: detail, extra } = error
  const answer = withTrailers({ code: codeOf(httpStatus), details: detail })
  if (/^[\x20-\x7e]+$/.test(code)) answer.metadata.set('problem-code', code)
  const problem = Buffer.from(JSON.stringify({ ...extra, status: httpStatus, code, detail }))
  if (problem.length <= largestProblem) answer.metadata.set('problem-bin', problem)
  return answer
}

/** HTTP/2 peers take 8 KiB of trailers, which base64 fills by a third more. */
const largestProblem = 4096

function withTrailers({ code, details, trailers }: GrpcRefusal): GrpcStatus {
  const metadata = new Metadata()
  for (const [name, value] of Object.entries(trailers ?? {})) metadata.set(name, value)
  return { code, details, metadata }
}

function codeOf(httpStatus: number): status {
  return codes.get(httpStatus) ?? (httpStatus < 500 ? status.FAILED_PRECONDITION : status.INTERNAL)
}

/** As google.rpc.Code has them, the other way round. A 502 comes after the handler ran: it must not invite to try again. */
const codes: ReadonlyMap<number, status> = new Map([
  [400, status.INVALID_ARGUMENT],
  [401, status.UNAUTHENTICATED],
  [403, status.PERMISSION_DENIED],
  [404, status.NOT_FOUND],
  [409, status.ABORTED],
  [413, status.RESOURCE_EXHAUSTED],
  [422, status.INVALID_ARGUMENT],
  [429, status.RESOURCE_EXHAUSTED],
  [499, status.CANCELLED],
  [501, status.UNIMPLEMENTED],
  [503, status.UNAVAILABLE],
  [504, status.DEADLINE_EXCEEDED],
])
