import type { ServiceDirectory } from '@countersign/client'
import { type GuardedFetch, guardedFetch, KeptDocument } from '@countersign/outbound'
import { parseJson } from '@countersign/tokens'
import { z } from 'zod'
import type { ApiDescription, ServiceDescription } from '../description.ts'
import { ActionError } from './action-error.ts'

/** Where the APIs of other services are, as these say themselves. */
export interface RemoteApis {
  /** Rejects with ActionError `unreachable` or `unknown_api`. */
  find(action: string, service: string, api: string): Promise<RemoteApi>
  /** What is known of the service did not hold: ask it again before the next call. */
  doubt(service: string): void
}

export interface RemoteApi {
  /** Without a slash at the end. */
  readonly baseUrl: string
  readonly api: ApiDescription
}

/** Reads `/.well-known/service.json` of a service when one of its APIs is first called, and keeps it for 5 minutes. */
export function createRemoteApis(directory: ServiceDirectory, fetchDocument: GuardedFetch = guardedFetch): RemoteApis {
  const known = new Map<string, KeptDocument<ServiceDescription>>()
  return {
    async find(action, service, name) {
      try {
        const kept = keptFor(service)
        const description = await kept.get()
        const api = apiOf(description, name) ?? apiOf((await kept.refresh()) ?? description, name)
        if (api !== undefined) return { baseUrl: directory.urlOf(service), api }
      } catch (cause) {
        const why = (cause as Error).message
        throw new ActionError(action, 'unreachable', `the APIs of ${service} cannot be had: ${why}`, { cause })
      }
      throw new ActionError(action, 'unknown_api', `${service} has no API called "${name}"`)
    },
    doubt(service) {
      void known
        .get(service)
        ?.refresh()
        .catch(() => {})
    },
  }

  function keptFor(service: string): KeptDocument<ServiceDescription> {
    const url = `${directory.urlOf(service)}/.well-known/service.json`
    const kept = known.get(service) ?? new KeptDocument({ load: () => load(url) })
    known.set(service, kept)
    return kept
  }

  async function load(url: string): Promise<{ value: ServiceDescription }> {
    // The operator's own URL: private addresses and http are his to choose.
    const rules = { allowHttp: true, allowPrivateAddresses: true, maximumBytes: 1024 * 1024 }
    const { body } = await fetchDocument(url, { ...rules, accept: ['application/json'] })
    return { value: descriptionSchema.parse(parseJson(body, { maximumBytes: rules.maximumBytes })) }
  }
}

function apiOf({ apis }: ServiceDescription, name: string): ApiDescription | undefined {
  return Object.hasOwn(apis, name) ? apis[name] : undefined
}

const descriptionSchema = z.object({
  name: z.string().max(128),
  apis: z.record(
    z.string().max(128),
    z.object({
      method: z.enum(['GET', 'POST', 'PUT', 'PATCH', 'DELETE']),
      path: z
        .string()
        .max(2_048)
        .regex(/^\/(?!\/)[^?#\\\s\p{Cc}]*$/u),
      grpc: z.object({ service: z.string(), method: z.string(), port: z.int().min(1).max(65_535) }).optional(),
    }),
  ),
})
