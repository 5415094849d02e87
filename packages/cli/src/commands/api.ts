import { type Command, Option } from 'commander'
import { path, withAdminApi } from '../admin-api.ts'
import { wrongUse } from '../cli-error.ts'
import {
  durationOption,
  group,
  type ListOptions,
  listLeaf,
  repeated,
  type ServerOptions,
  serverLeaf,
} from '../command.ts'
import { deleted } from '../deleted.ts'
import { formatDuration } from '../duration.ts'
import { printList, printResource, shortened } from '../output.ts'
import { parseScopes, type ScopeDefinition } from '../parse-scopes.ts'
import type { Api } from '../resources.ts'

interface ApiFields {
  name?: string
  scope?: string[]
  signingAlg?: string
  /** Seconds */
  tokenTtl?: number
  introspector?: string[]
}

interface ApiChanges extends ApiFields {
  addScope?: string[]
  removeScope?: string[]
  addIntrospector?: string[]
  removeIntrospector?: string[]
}

export function apiCommands(program: Command, description: string): void {
  const api = group(program, 'api', description)

  apiFields(
    serverLeaf(
      api,
      'create',
      'create an API',
      "countersign api create --audience https://orders.example.com --scope 'read:orders=Read orders'",
    ),
  )
    .requiredOption('--audience <url>', 'what tokens for this API carry as "aud"')
    .action(createApi)

  listLeaf(api, 'list', 'list APIs', 'countersign api list')
    .option('--audience <url>', 'only the API of this audience')
    .action(listApis)

  serverLeaf(
    api,
    'get <api>',
    'show one API, by its id or audience',
    'countersign api get https://orders.example.com',
  ).action(getApi)

  apiFields(
    serverLeaf(
      api,
      'update <api>',
      'change an API; what is not named stays, but --scope and --introspector replace the whole list',
      'countersign api update https://orders.example.com --token-ttl 30m',
    ),
  )
    .option('--add-scope <name=text>', 'add this scope, or change its description; repeatable', repeated)
    .option('--remove-scope <name>', 'remove this scope, also from all grants; repeatable', repeated)
    .option('--add-introspector <client>', 'let this client introspect too; repeatable', repeated)
    .option('--remove-introspector <client>', 'let this client introspect no more; repeatable', repeated)
    .action(updateApi)

  serverLeaf(
    api,
    'delete <api>',
    'delete an API and all grants for it',
    'countersign api delete https://orders.example.com',
  ).action(deleteApi)
}

function apiFields(command: Command): Command {
  return command
    .option('--name <name>', 'a name for people')
    .option('--scope <name=text>', 'a scope that can be granted, with its description; repeatable', repeated)
    .addOption(
      new Option('--signing-alg <algorithm>', 'how its tokens are signed').choices(['ES256', 'RS256', 'EdDSA']),
    )
    .option('--token-ttl <duration>', 'how long its tokens live, such as 1h', durationOption)
    .option('--introspector <client>', 'a client that may introspect its tokens; repeatable', repeated)
}

async function createApi(options: ServerOptions & ApiFields & { audience: string }): Promise<void> {
  const body = { audience: options.audience, ...fieldsOf(options), name: options.name ?? options.audience }
  const api = await withAdminApi(options, (admin) => admin.send<Api>('POST', '/apis', body))
  printResource(api, options, describeApi(api))
}

async function listApis(options: ListOptions & { audience?: string }): Promise<void> {
  const { limit, cursor, audience } = options
  const page = await withAdminApi(options, (admin) => admin.list<Api>('/apis', { limit, cursor, query: { audience } }))
  const nothing = 'There are no APIs yet; create one with: countersign api create --audience URL --scope NAME=TEXT'
  printList(page, { ...options, nothing }, [
    { title: 'AUDIENCE', value: (api) => api.audience },
    { title: 'NAME', value: (api) => api.name },
    { title: 'ALG', value: (api) => api.signing_alg },
    { title: 'TTL', value: (api) => formatDuration(api.token_ttl) },
    { title: 'SCOPES', value: (api) => shortened(names(api), ', ') },
  ])
}

async function getApi(name: string, options: ServerOptions): Promise<void> {
  const api = await withAdminApi(options, (admin) => admin.get<Api>(path`/apis/${name}`))
  printResource(api, options, describeApi(api))
}

async function updateApi(name: string, options: ServerOptions & ApiChanges): Promise<void> {
  const { addScope, removeScope, addIntrospector, removeIntrospector } = options
  const api = await withAdminApi(options, async (admin) => {
    const current = () => admin.get<Api>(path`/apis/${name}`)
    const changes: Record<string, unknown> = fieldsOf(options)
    if (addScope || removeScope) {
      const scopes = options.scope ? parseScopes(options.scope) : (await current()).scopes
      changes.scopes = editScopes(scopes, parseScopes(addScope ?? []), removeScope ?? [])
    }
    if (addIntrospector || removeIntrospector) {
      const introspectors = new Set(options.introspector ?? (await current()).introspectors)
      for (const client of removeIntrospector ?? []) introspectors.delete(client)
      for (const client of addIntrospector ?? []) introspectors.add(client)
      changes.introspectors = [...introspectors]
    }
    if (Object.keys(changes).length === 0)
      throw wrongUse('nothing to change is named; give for example --name or --token-ttl, see --help')
    return admin.send<Api>('PATCH', path`/apis/${name}`, changes)
  })
  printResource(api, options, describeApi(api))
}

async function deleteApi(name: string, options: ServerOptions): Promise<void> {
  await withAdminApi(options, (admin) => admin.send('DELETE', path`/apis/${name}`))
  deleted(`API ${name}`, { id: name }, options)
}

/** The fields that were named, as the admin API calls them. */
function fieldsOf({ name, scope, signingAlg, tokenTtl, introspector }: ApiFields): Record<string, unknown> {
  return {
    ...(name !== undefined && { name }),
    ...(scope && { scopes: parseScopes(scope) }),
    ...(signingAlg && { signing_alg: signingAlg }),
    ...(tokenTtl && { token_ttl: tokenTtl }),
    ...(introspector && { introspectors: introspector }),
  }
}

function editScopes(
  scopes: readonly ScopeDefinition[],
  added: readonly ScopeDefinition[],
  removed: readonly string[],
): ScopeDefinition[] {
  const unknown = removed.find((name) => !scopes.some((scope) => scope.name === name))
  if (unknown !== undefined) {
    throw wrongUse(
      `the API has no scope ${unknown} to remove; it has: ${scopes.map(({ name }) => name).join(', ') || 'none'}`,
    )
  }
  const edited = new Map(scopes.map((scope) => [scope.name, scope]))
  for (const name of removed) edited.delete(name)
  for (const scope of added) edited.set(scope.name, scope)
  return [...edited.values()]
}

function names({ scopes }: Api): string[] {
  return scopes.map(({ name }) => name)
}

function describeApi(api: Api): [string, unknown][] {
  return [
    ['audience', api.audience],
    ['id', api.id],
    ['name', api.name],
    ['signing algorithm', api.signing_alg],
    ['tokens live', formatDuration(api.token_ttl)],
    ['introspectors', api.introspectors],
    ['created', api.created_at],
    ['updated', api.updated_at],
    ...api.scopes.map(({ name, description }): [string, unknown] => [
      'scope',
      description ? `${name} (${description})` : name,
    ]),
  ]
}
