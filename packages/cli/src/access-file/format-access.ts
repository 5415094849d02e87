import { Document } from 'yaml'
import { formatDuration } from '../duration.ts'
import type { Api } from '../resources.ts'
import { defaultApi, defaultClient } from './access.ts'
import { entryKey, entryObject, isOfJoinToken } from './entry.ts'
import { isBuiltin, type PresentAccess, type PresentClient } from './present-access.ts'

/** What the server has, as an access file that `apply` takes. Defaults are left out, everything is in a fixed order. */
export function formatAccess(present: PresentAccess): string {
  const document = new Document(accessObject(present))
  document.commentBefore =
    ' Who may do what. Review it, then: countersign apply -f FILE --dry-run\n' +
    ' Secrets and keys are not in here. What is left out of an API, client or entry is its default.'
  return document.toString({ lineWidth: 0 })
}

export function accessObject({ apis, clients, entries }: PresentAccess): Record<string, object[]> {
  const wanted = entries.filter((entry) => !isOfJoinToken(entry))
  return {
    apis: [...apis.values()]
      .filter((api) => !isBuiltin(api))
      .sort(by(({ audience }) => audience))
      .map(apiObject),
    clients: [...clients.values()].sort(by(({ id }) => id)).map(clientObject),
    // Who has no workloads need not know that there could be some.
    ...(wanted.length > 0 && { entries: wanted.sort(by(entryKey)).map(entryObject) }),
  }
}

function apiObject(api: Api): object {
  return {
    audience: api.audience,
    ...(api.name !== api.audience.slice(0, 200) && { name: api.name }),
    scopes: Object.fromEntries(
      api.scopes.toSorted(by(({ name }) => name)).map(({ name, description }) => [name, description]),
    ),
    ...(api.signing_alg !== defaultApi.signing_alg && { signing_alg: api.signing_alg }),
    ...(api.token_ttl !== defaultApi.token_ttl && { token_ttl: formatDuration(api.token_ttl) }),
    ...(api.introspectors.length > 0 && { introspectors: api.introspectors.toSorted() }),
  }
}

function clientObject(client: PresentClient): object {
  const grants = client.grants.toSorted(by(({ audience }) => audience))
  return {
    id: client.id,
    ...(client.name !== client.id && { name: client.name }),
    ...(client.disabled && { disabled: true }),
    ...(client.default_audience !== null && { default_audience: client.default_audience }),
    ...(client.auth_methods !== null && { auth_methods: client.auth_methods.toSorted() }),
    ...(client.assertion_audience !== defaultClient.assertion_audience && {
      assertion_audience: client.assertion_audience,
    }),
    ...(client.jwks_uri !== null && { jwks_uri: client.jwks_uri }),
    ...(client.spiffe_ids.length > 0 && { spiffe_ids: client.spiffe_ids.toSorted() }),
    ...(client.tls_client_auth !== null && { tls_client_auth: client.tls_client_auth }),
    ...(grants.length > 0 && {
      grants: Object.fromEntries(grants.map(({ audience, scopes }) => [audience, scopes.toSorted()])),
    }),
  }
}

function by<Item>(key: (item: Item) => string): (a: Item, b: Item) => number {
  return (a, b) => (key(a) < key(b) ? -1 : key(a) > key(b) ? 1 : 0)
}
