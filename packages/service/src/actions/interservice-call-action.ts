import type { InterserviceCallAction } from '../document/service-document.ts'
import { ActionError } from './action-error.ts'
import type { ActionRun, ActionRuntime } from './action-runtime.ts'
import { exchange } from './http-exchange.ts'
import type { RemoteApi } from './remote-apis.ts'

/** Calls a business API of another service by its name, with a token for that service and for the call's tenant. */
export function createInterserviceCall(action: InterserviceCallAction, runtime: ActionRuntime): ActionRun {
  const { name, targetService, targetApi } = action
  return async (context, { tenant }) => {
    const parameters = parametersOf(action, context)
    const remote = await runtime.remoteApis.find(name, targetService, targetApi)
    if (action.transport === 'grpc') return overGrpc(remote, parameters, tenant)
    const { method } = remote.api
    const { url, rest } = fillPath(name, remote, parameters)
    const inQuery = method === 'GET' || method === 'DELETE'
    if (inQuery) for (const [member, value] of rest) url.searchParams.append(member, textOf(value))
    const body = inQuery ? undefined : Object.fromEntries(rest)
    const { timeoutMilliseconds } = runtime
    try {
      return await exchange(runtime.signedFetch(name, tenant), { action: name, url, method, body, timeoutMilliseconds })
    } catch (error) {
      if (error instanceof ActionError && (error.status === 404 || error.status === 405))
        runtime.remoteApis.doubt(targetService)
      throw error
    }
  }

  function overGrpc({ baseUrl, api }: RemoteApi, parameters: Record<string, unknown>, tenant: string | undefined) {
    const { grpcCall, timeoutMilliseconds } = runtime
    if (grpcCall === undefined || api.grpc === undefined)
      throw new ActionError(name, 'unknown_api', `${targetService} does not offer "${targetApi}" over gRPC`)
    return grpcCall({ action: name, service: targetService, baseUrl, api, parameters, tenant, timeoutMilliseconds })
  }
}

function parametersOf({ parameters }: InterserviceCallAction, context: object): Record<string, unknown> {
  const values = parameters.map(({ name, value }) => [name, value.evaluate(context)] as const)
  return Object.fromEntries(values.filter(([, value]) => value !== undefined))
}

/** Parameters fill the path first; `rest` is what is left of them. */
function fillPath(action: string, { baseUrl, api }: RemoteApi, parameters: Record<string, unknown>) {
  const rest = new Map(Object.entries(parameters))
  const path = api.path.replaceAll(/\{(\w+)\}/g, (_, name: string) => {
    const text = textOf(rest.get(name) ?? '')
    rest.delete(name)
    if (text === '' || text === '.' || text === '..')
      throw new ActionError(
        action,
        'bad_value',
        `the parameter "${name}" stands in the path ${api.path} and has no value for it`,
      )
    return encodeURIComponent(text)
  })
  // Where services are mounted on paths of one host, this leads to another one, which the token would then be for.
  if (dotSegment.test(path))
    throw new ActionError(action, 'bad_value', `the path ${api.path} comes out with a segment that is "." or ".."`)
  return { url: new URL(baseUrl + path), rest }
}

const dotSegment = /\/(?:\.|%2e){1,2}(?=\/|$)/i

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value)
}
