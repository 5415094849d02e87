import type { Metadata, ServerDuplexStream, ServerUnaryCall, sendUnaryData } from '@grpc/grpc-js'
import { status } from '@grpc/grpc-js'
import type { NodeConnection } from './node-connection.ts'
import { asRpcError, RpcError, toServiceError } from './rpc-error.ts'

/** Who calls, as far as the connection says. */
export interface Caller {
  readonly connection: NodeConnection
  /** Whether this agent knows more than SPIRE's calls */
  readonly isCountersign: boolean
}

export interface CallRules {
  connectionOf: (name: string) => NodeConnection | undefined
  /** Told of what went wrong on our side; the caller is told nothing of it */
  onError: (method: string, error: unknown) => void
}

/** Our agents say so in every call; SPIRE's do not, and could not do what is asked of ours. */
const agentHeader = 'countersign-agent'

type AnyCall = { getPeer(): string; getPath(): string; metadata: Metadata }

/** A unary method from a function that answers or throws. */
export function unary<Request, Response>(
  rules: CallRules,
  answer: (request: Request, caller: Caller) => Promise<Response>,
): (call: ServerUnaryCall<Request, Response>, callback: sendUnaryData<Response>) => void {
  return (call, callback) => {
    void answered(async () => answer(call.request, callerOf(call, rules)), call, rules).then(
      (response) => callback(null, response),
      (error) => callback(error),
    )
  }
}

/** A method of two streams from a function that takes part in it and returns or throws at the end. */
export function duplex<Request, Response>(
  rules: CallRules,
  takePart: (call: ServerDuplexStream<Request, Response>, caller: Caller) => Promise<void>,
): (call: ServerDuplexStream<Request, Response>) => void {
  return (call) => {
    void answered(async () => takePart(call, callerOf(call, rules)), call, rules).then(
      () => call.end(),
      // Not thrown: this is how grpc-js is given the status of a stream.
      (error) => void (call.cancelled || call.emit('error', error)),
    )
  }
}

async function answered<T>(answer: () => Promise<T>, call: AnyCall, rules: CallRules): Promise<T> {
  try {
    return await answer()
  } catch (error) {
    const { refusal, unexpected } = asRpcError(error)
    if (unexpected) rules.onError(call.getPath(), error)
    throw toServiceError(refusal)
  }
}

function callerOf(call: AnyCall, { connectionOf }: CallRules): Caller {
  const connection = connectionOf(call.getPeer())
  if (!connection) throw new RpcError(status.UNAUTHENTICATED, 'this connection is closed')
  return { connection, isCountersign: call.metadata.get(agentHeader).length > 0 }
}
