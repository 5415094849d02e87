import type { ApiCallAction } from '../document/service-document.ts'
import { ActionError } from './action-error.ts'
import type { ActionRun, ActionRuntime } from './action-runtime.ts'
import { exchange } from './http-exchange.ts'
import { hasLiteralOrigin } from './literal-origin.ts'

/**
 * An HTTP call to anywhere, with a service token. Outside the service directory the token names the origin as its
 * receiver, says nothing of tenants, and is good nowhere else; origins in UNSIGNED_ORIGINS get none.
 *
 * Where the origin itself comes from the context, whoever fills the context would choose whom this service calls in its
 * own name, other services among them: then only API_CALL_ORIGINS are called.
 */
export function createApiCall({ name, request }: ApiCallAction, runtime: ActionRuntime): ActionRun {
  const fixed = hasLiteralOrigin(request.url.source)
  return async (context, { tenant }) => {
    const url = targetOf(name, request.url.evaluate(context), request.params?.evaluate(context))
    const isService = runtime.isService(url)
    if (!fixed && !runtime.settings.apiCallOrigins.includes(url.origin)) throw notAllowed(name, url)
    const unsigned = runtime.settings.unsignedOrigins.includes(url.origin)
    const send = unsigned ? runtime.unsignedFetch : runtime.signedFetch(name, isService ? tenant : undefined)
    return exchange(send, {
      action: name,
      url,
      method: request.method,
      headers: request.headers?.evaluate(context) ?? {},
      body: request.body?.evaluate(context),
      timeoutMilliseconds: runtime.timeoutMilliseconds,
    })
  }
}

function targetOf(name: string, text: string, params: unknown): URL {
  const url = URL.parse(text)
  if (url === null || !/^https?:$/.test(url.protocol) || url.username !== '' || url.password !== '')
    throw new ActionError(name, 'bad_value', 'its url gives no http(s) URL')
  for (const [member, value] of Object.entries(params ?? {}))
    for (const each of [value].flat())
      if (each !== undefined && each !== null) url.searchParams.append(member, textOf(each))
  return url
}

function textOf(value: unknown): string {
  return typeof value === 'object' ? JSON.stringify(value) : String(value)
}

function notAllowed(name: string, { origin }: URL): ActionError {
  const message = `its url comes from the context and leads to ${origin}; allow that in API_CALL_ORIGINS, or write the origin into the document`
  return new ActionError(name, 'origin_not_allowed', message)
}
