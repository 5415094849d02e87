import { isDeepStrictEqual } from 'node:util'
import { type AdminApi, path } from '../admin-api.ts'
import { adminAudience } from '../admin-audience.ts'
import { CliError } from '../cli-error.ts'
import type { Access, WantedApi, WantedClient, WantedGrant } from './access.ts'
import { allFields, changedFields, type FieldChange, patchOf } from './field-changes.ts'
import { nearest } from './nearest.ts'
import { planEntries, planPruningEntries } from './plan-entries.ts'
import { isBuiltin, type PresentAccess, type PresentClient } from './present-access.ts'

/** One change, told and ready to be made. */
export interface Step {
  action: 'create' | 'update' | 'delete'
  kind: 'api' | 'client' | 'grant' | 'entry'
  name: string
  fields: FieldChange[]
  run(admin: AdminApi): Promise<unknown>
}

export interface PlanOptions {
  /** Delete what the access does not name */
  prune: boolean
  /** The client that makes the changes: it is never deleted, disabled or shut out */
  actingClient: string
}

/**
 * What it takes to bring the server to the access, in an order that works: what is referred to comes first, what goes
 * goes last. Empty where all is as it should be.
 * @throws CliError where a grant cannot be: its API or scope does not exist
 */
export function planChanges(access: Access, present: PresentAccess, options: PlanOptions): Step[] {
  checkGrants(access, present)
  return [
    ...access.apis.flatMap((api) => planApi(api, present)),
    ...access.clients.flatMap((client) => planClient(client, present, options)),
    ...access.clients.flatMap((client) => client.grants.flatMap((grant) => planGrant(client.id, grant, present))),
    ...planEntries(access.entries, present.entries),
    ...(options.prune ? planPruning(access, present, options) : []),
  ]
}

function checkGrants(access: Access, present: PresentAccess): void {
  const scopesOf = new Map(
    [...present.apis].map(([audience, { scopes }]) => [audience, scopes.map(({ name }) => name)]),
  )
  for (const { audience, scopes } of access.apis)
    scopesOf.set(
      audience,
      scopes.map(({ name }) => name),
    )
  const faults = access.clients.flatMap(({ id, grants }) =>
    grants.flatMap(({ audience, scopes, place }) => {
      const defined = scopesOf.get(audience)
      if (defined === undefined) {
        return [
          `${place}: client ${id} is granted ${audience}, but there is no such API in the file or at the server${nearest(audience, [...scopesOf.keys()])}`,
        ]
      }
      return scopes
        .filter((scope) => !defined.includes(scope))
        .map(
          (scope) =>
            `${place}: client ${id} is granted ${scope} at ${audience}, which has no such scope${defined.length > 0 ? nearest(scope, defined) : '; add it to the API'}`,
        )
    }),
  )
  if (faults.length > 0) throw new CliError(faults.join('\n'))
}

function planApi({ audience, ...wanted }: WantedApi, { apis }: PresentAccess): Step[] {
  const api = apis.get(audience)
  if (api === undefined) {
    const run = (admin: AdminApi) => admin.send('POST', '/apis', { audience, ...wanted })
    return [{ action: 'create', kind: 'api', name: audience, fields: allFields(wanted), run }]
  }
  const fields = changedFields(api, wanted)
  const run = (admin: AdminApi) => admin.send('PATCH', path`/apis/${audience}`, patchOf(fields))
  return fields.length === 0 ? [] : [{ action: 'update', kind: 'api', name: audience, fields, run }]
}

function planClient(
  { id, grants: _grants, ...wanted }: WantedClient,
  { clients }: PresentAccess,
  { actingClient }: PlanOptions,
): Step[] {
  const client = clients.get(id)
  if (wanted.disabled && id === actingClient) {
    throw new CliError(
      `the file disables client ${id}, which you are acting as; act as another client (--client-id), or take "disabled" out`,
    )
  }
  if (client === undefined) {
    const run = (admin: AdminApi) => admin.send('POST', '/clients', { id, ...wanted })
    return [{ action: 'create', kind: 'client', name: id, fields: allFields(wanted), run }]
  }
  const fields = changedFields(client, wanted)
  const run = (admin: AdminApi) => admin.send('PATCH', path`/clients/${id}`, patchOf(fields))
  return fields.length === 0 ? [] : [{ action: 'update', kind: 'client', name: id, fields, run }]
}

function planGrant(clientId: string, { audience, scopes }: WantedGrant, { clients }: PresentAccess): Step[] {
  const grant = clients.get(clientId)?.grants.find((grant) => grant.audience === audience)
  if (grant && isDeepStrictEqual(new Set(grant.scopes), new Set(scopes))) return []
  const fields = grant ? [{ field: 'scopes', from: grant.scopes, to: scopes }] : [{ field: 'scopes', to: scopes }]
  const run = (admin: AdminApi) => admin.send('PUT', path`/clients/${clientId}/grants/${audience}`, { scopes })
  return [{ action: grant ? 'update' : 'create', kind: 'grant', name: `${clientId} at ${audience}`, fields, run }]
}

function planPruning(access: Access, present: PresentAccess, { actingClient }: PlanOptions): Step[] {
  const wanted = new Map(access.clients.map((client) => [client.id, client]))
  const audiences = new Set(access.apis.map(({ audience }) => audience))
  const clients = [...present.clients.values()].filter(({ id }) => id !== actingClient && !wanted.has(id))
  const apis = [...present.apis.values()].filter((api) => !audiences.has(api.audience) && !isBuiltin(api))
  const grants = [...present.clients.values()].flatMap((client) =>
    unwantedGrants(client, wanted.get(client.id), actingClient),
  )
  return [
    ...planPruningEntries(access.entries, present.entries),
    ...grants,
    ...clients.map(
      ({ id }): Step => ({
        action: 'delete',
        kind: 'client',
        name: id,
        fields: [],
        run: (admin) => admin.send('DELETE', path`/clients/${id}`),
      }),
    ),
    ...apis.map(
      ({ audience }): Step => ({
        action: 'delete',
        kind: 'api',
        name: audience,
        fields: [],
        run: (admin) => admin.send('DELETE', path`/apis/${audience}`),
      }),
    ),
  ]
}

/** Of a client that is named; those of others go with their client. */
function unwantedGrants(client: PresentClient, wanted: WantedClient | undefined, actingClient: string): Step[] {
  if (wanted === undefined) return []
  return client.grants
    .filter(({ audience }) => !wanted.grants.some((grant) => grant.audience === audience))
    .filter(({ audience }) => !(client.id === actingClient && audience === adminAudience))
    .map(({ audience, scopes }) => ({
      action: 'delete',
      kind: 'grant',
      name: `${client.id} at ${audience}`,
      fields: [{ field: 'scopes', from: scopes }],
      run: (admin) => admin.send('DELETE', path`/clients/${client.id}/grants/${audience}`),
    }))
}
