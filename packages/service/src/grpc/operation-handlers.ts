import type { Caller } from '@countersign/guard'
import { admitGrpc, RefusedCall } from '@countersign/guard/grpc'
import type {
  ServerUnaryCall,
  ServiceDefinition,
  sendUnaryData,
  UntypedHandleCall,
  UntypedServiceImplementation,
} from '@grpc/grpc-js'
import { type Admission, admit } from '../admission.ts'
import { describeError } from '../log/describe-error.ts'
import { Problem } from '../problem.ts'
import { isRefusal, type Refusal, reasonOfRefusal } from '../refusal.ts'
import type { TransportRuntime } from '../transport.ts'
import { statusOf } from './answer.ts'
import { faultOf } from './check-message.ts'
import { grpcCredentials } from './credentials.ts'
import type { LoadedMethod } from './load-methods.ts'
import type { GrpcMethodTypes } from './message-types.ts'
import { inputOf, messageOf } from './message-values.ts'

type Call = ServerUnaryCall<unknown, Uint8Array>

/** One business API as grpc-js serves it: who calls is decided before the request is parsed. */
export function operationHandler(
  { operation, method, definition }: LoadedMethod,
  runtime: TransportRuntime,
): [ServiceDefinition, UntypedServiceImplementation] {
  const admitted = new WeakMap<object, { admission: Admission; startedAt: number }>()
  // The answer is made where its faults are logged, so that nothing is left to be serialised.
  const answeredInBytes = { ...definition, responseSerialize: (bytes: Uint8Array) => bytes as Buffer }
  const handler = (call: Call, callback: sendUnaryData<Uint8Array>) => serve(call, callback)
  return admitGrpc(
    async (incoming, call) => {
      const startedAt = performance.now()
      try {
        const credentials = grpcCredentials(incoming, (call as Call).getHost(), runtime)
        const admission = await admit(operation.authOptions, credentials, runtime.admission)
        admitted.set(call, { admission, startedAt })
        return admission.caller as Caller | undefined
      } catch (error) {
        const refusal = isRefusal(error) ? error : undefined
        finished(refusal?.status ?? 503, refusal, undefined, startedAt)
        if (refusal === undefined) runtime.log.error({ err: describeError(error) }, 'a gRPC call could not be checked')
        throw error instanceof Problem ? new RefusedCall(statusOf(error)) : error
      }
    },
    { [method]: answeredInBytes } as ServiceDefinition,
    { [method]: handler as UntypedHandleCall },
    {
      onError: (error) =>
        runtime.log.error({ operation: operation.name, err: describeError(error) }, 'a gRPC call failed'),
    },
  )

  async function serve(call: Call, callback: sendUnaryData<Uint8Array>): Promise<void> {
    const { admission, startedAt } = admitted.get(call)!
    let status = 500
    let refusal: Refusal | undefined
    try {
      const input = inputOf(call.request, operation.input)
      const result = await operation.invoke({ transport: 'grpc', admission, input, signal: goneSignal(call) })
      const answer = definition.responseSerialize(answerMessage(result, definition.response))
      status = call.cancelled ? 499 : 200
      callback(null, answer)
    } catch (error) {
      if (!isRefusal(error)) throw error
      refusal = error
      status = error.status
      callback(statusOf(error))
    } finally {
      finished(status, refusal, admission, startedAt)
    }
  }

  function finished(
    status: number,
    refusal: Refusal | undefined,
    admission: Admission | undefined,
    startedAt: number,
  ): void {
    const reason = refusal && reasonOfRefusal(refusal)
    const milliseconds = performance.now() - startedAt
    runtime.onCall({ operation, transport: 'grpc', admission, status, reason, milliseconds })
  }
}

/** Throws for a result that is no such message; whoever calls is told that the method failed, and the log says why. */
function answerMessage(result: unknown, type: GrpcMethodTypes['response']): object {
  const message = messageOf(result ?? {}) as object
  const fault = faultOf(message, type, { refuseUnknown: false })
  if (fault !== undefined) throw new TypeError(`what the handler gave is no ${type.name}: ${fault}`)
  return message
}

function goneSignal(call: Call): AbortSignal {
  const gone = new AbortController()
  call.once('cancelled', () => gone.abort(new Problem(499, 'caller_gone', 'whoever called has gone')))
  return gone.signal
}
