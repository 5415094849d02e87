import type { EdgeController } from '../document/service-document.ts'
import type { EdgeRequest, Operation } from '../operation.ts'
import type { ServiceContext } from '../service-context.ts'
import type { OperationRuntime } from './operation-runtime.ts'
import { runOperation } from './run-operation.ts'

/** The TypeScript behind an edge controller: gets the request as it came, and who is behind it. */
export type EdgeFunction = (req: EdgeRequest, context: ServiceContext) => unknown

/** An edge controller as every transport runs it. */
export function createEdgeController(edge: EdgeController, run: EdgeFunction, runtime: OperationRuntime): Operation {
  const { functionName: name, authOptions, rest, kafka } = edge
  return {
    kind: 'edgeController',
    name,
    authOptions,
    ...(rest && { rest }),
    ...(kafka && { kafka }),
    invoke: (call) =>
      runOperation(name, runtime.log, () => {
        const { transport, admission, request } = call
        return run({ ...request!, transport, ...admission }, runtime.contextOf(name, call))
      }),
  }
}
