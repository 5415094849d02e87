import type { Command } from 'commander'
import { type AdminApi, path, withAdminApi } from '../admin-api.ts'
import { CliError, wrongUse } from '../cli-error.ts'
import { repeated, type ServerOptions, serverLeaf } from '../command.ts'
import { deleted } from '../deleted.ts'
import { type Page, printList, printResource } from '../output.ts'
import type { Grant } from '../resources.ts'

interface GrantOptions extends ServerOptions {
  /** An id or an audience */
  api: string
  scope?: string[]
  replace?: boolean
}

export function grantCommands(client: Command): void {
  serverLeaf(
    client,
    'grant <client>',
    'let a client use an API with these scopes, besides those it has',
    'countersign client grant svc-order-processor --api https://orders.example.com --scope read:orders',
  )
    .requiredOption('--api <audience>', 'the API, by audience or id')
    .option('--scope <name>', 'a scope of that API; repeatable', repeated)
    .option('--replace', 'these scopes only, instead of those it has')
    .action(grant)

  serverLeaf(
    client,
    'ungrant <client>',
    'take scopes away, or with no --scope the whole grant',
    'countersign client ungrant svc-order-processor --api https://orders.example.com --scope write:orders',
  )
    .requiredOption('--api <audience>', 'the API, by audience or id')
    .option('--scope <name>', 'only this scope; repeatable', repeated)
    .action(ungrant)

  serverLeaf(
    client,
    'grants <client>',
    'list what a client may do',
    'countersign client grants svc-order-processor',
  ).action(listGrants)
}

async function grant(client: string, options: GrantOptions): Promise<void> {
  const given = await withAdminApi(options, async (admin) => {
    const before = options.replace ? undefined : await findGrant(client, options.api, admin)
    const scopes = [...new Set([...(before?.scopes ?? []), ...namedScopes(options)])]
    return admin.send<Grant>('PUT', path`/clients/${client}/grants/${options.api}`, { scopes })
  })
  printResource(given, options, describeGrant(given))
}

async function ungrant(client: string, options: GrantOptions): Promise<void> {
  const left = await withAdminApi(options, (admin) => takeAway(client, options, admin))
  if (left === undefined)
    deleted(`The grant of client ${client} for ${options.api}`, { client_id: client, api: options.api }, options)
  else printResource(left, options, describeGrant(left))
}

/** @returns the grant that is left, or undefined where none is */
async function takeAway(client: string, options: GrantOptions, admin: AdminApi): Promise<Grant | undefined> {
  const address = path`/clients/${client}/grants/${options.api}`
  const taken = namedScopes(options)
  if (taken.length > 0) {
    const before = await findGrant(client, options.api, admin)
    const missing = taken.find((name) => !before?.scopes.includes(name))
    if (before === undefined || missing !== undefined) {
      throw new CliError(
        `client ${client} has no grant of ${missing} for ${options.api}; see what it has with: countersign client grants ${client}`,
      )
    }
    const scopes = before.scopes.filter((name) => !taken.includes(name))
    if (scopes.length > 0) return admin.send<Grant>('PUT', address, { scopes })
  }
  await admin.send('DELETE', address)
  return undefined
}

async function listGrants(client: string, options: ServerOptions): Promise<void> {
  const page = await withAdminApi(options, (admin) => admin.list<Grant>(path`/clients/${client}/grants`))
  const nothing = `Client ${client} has no grants; give it one with: countersign client grant ${client} --api AUDIENCE --scope SCOPE`
  printList(page, { ...options, nothing }, [
    { title: 'API', value: (item) => item.audience },
    { title: 'SCOPES', value: (item) => item.scopes },
    { title: 'SINCE', value: (item) => item.created_at },
  ])
}

async function findGrant(client: string, api: string, admin: AdminApi): Promise<Grant | undefined> {
  const { items }: Page<Grant> = await admin.list<Grant>(path`/clients/${client}/grants`)
  return items.find(({ api_id, audience }) => api_id === api || audience === api)
}

/** `--scope a --scope b`, and `--scope 'a b'` as OAuth writes it. */
function namedScopes({ scope = [] }: GrantOptions): string[] {
  const names = scope.flatMap((text) => text.split(' ').filter(Boolean))
  if (scope.length > 0 && names.length === 0) throw wrongUse('--scope is empty; name a scope of the API')
  return names
}

function describeGrant({ client_id, audience, scopes, created_at }: Grant): [string, unknown][] {
  return [
    ['client', client_id],
    ['api', audience],
    ['scopes', scopes],
    ['since', created_at],
  ]
}
