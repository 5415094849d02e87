import type { BusinessApi } from '../document/service-document.ts'
import type { Operation, OperationCall } from '../operation.ts'
import { Problem } from '../problem.ts'
import type { ServiceContext } from '../service-context.ts'
import { actionContext } from './action-context.ts'
import { compileInput } from './input-schema.ts'
import type { OperationRuntime } from './operation-runtime.ts'
import { runOperation } from './run-operation.ts'

/** The TypeScript behind a business API: gets the checked input, gives what the caller is answered. */
// biome-ignore lint/suspicious/noExplicitAny: the schema in the document says what the input is, not a type.
export type Handler = (input: any, context: ServiceContext) => unknown

/** A business API as every transport runs it: input, handler, then its actions in their order. */
export function createBusinessApi(api: BusinessApi, handler: Handler, runtime: OperationRuntime): Operation {
  const checkInput = compileInput(api.name, api.input)
  const { name, authOptions, rest, grpc, kafka } = api
  return {
    kind: 'businessApi',
    name,
    authOptions,
    rest,
    ...(grpc && { grpc }),
    ...(kafka && { kafka }),
    ...(api.input && { input: api.input }),
    invoke: (call) =>
      runOperation(name, runtime.log, async () => {
        const input = checkInput(ownInput(call))
        const context = runtime.contextOf(name, call)
        const result = await handler(input, context)
        const over = actionContext(input, result)
        for (const action of api.actions) await context.actions[action]!(over)
        return result
      }),
  }
}

/** A copy, so that defaults are not written into what the transport holds; nobody but the guard says who calls. */
function ownInput({ input }: OperationCall): Record<string, unknown> {
  if (typeof input !== 'object' || input === null || Array.isArray(input) || ArrayBuffer.isView(input))
    throw new Problem(422, 'invalid_input', 'the input must be an object')
  const { m2mPayload: _, ...rest } = input as Record<string, unknown>
  return rest
}
