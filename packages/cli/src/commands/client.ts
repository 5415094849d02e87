import { type Command, Option } from 'commander'
import { path, withAdminApi } from '../admin-api.ts'
import { wrongUse } from '../cli-error.ts'
import { group, type ListOptions, listLeaf, repeated, type ServerOptions, serverLeaf } from '../command.ts'
import { deleted } from '../deleted.ts'
import { note, printList, printResource } from '../output.ts'
import type { Client } from '../resources.ts'
import { clientKeyCommands } from './client-key.ts'
import { clientSecretCommands } from './client-secret.ts'
import { grantCommands } from './grant.ts'

interface ClientFields {
  name?: string
  /** False: take it away */
  defaultAudience?: string | false
  disabled?: boolean
  enabled?: boolean
  /** False: every method that there is a credential for */
  authMethod?: string[] | false
  assertionAudience?: string
  jwksUrl?: string | false
  /** False: none */
  spiffeId?: string[] | false
  tlsSubjectDn?: string
  tlsSanDns?: string
  tlsSanUri?: string
  tlsSanIp?: string
  tlsSanEmail?: string
  /** False: take the name away */
  tlsClientAuth?: boolean
}

const authMethods = [
  'client_secret_basic',
  'client_secret_post',
  'private_key_jwt',
  'tls_client_auth',
  'self_signed_tls_client_auth',
  'spiffe_x509',
  'spiffe_jwt',
]

export function clientCommands(program: Command, description: string): void {
  const client = group(program, 'client', description)

  clientFields(
    serverLeaf(
      client,
      'create',
      'create a client',
      "countersign client create --id svc-order-processor --name 'Order processor' --with-secret",
    ),
  )
    .option('--id <id>', 'its client_id; made up when left out')
    .option('--with-secret', 'make a first secret and print it, once')
    .action(createClient)

  listLeaf(client, 'list', 'list clients', 'countersign client list --prefix svc-')
    .option('--prefix <text>', 'only clients whose id begins so')
    .action(listClients)

  serverLeaf(client, 'get <client>', 'show one client', 'countersign client get svc-order-processor').action(getClient)

  clientFields(
    serverLeaf(
      client,
      'update <client>',
      'change a client; what is not named stays',
      'countersign client update svc-order-processor --disabled',
    ),
  )
    .option('--enabled', 'let it get tokens again')
    .option('--no-default-audience', 'take the default audience away')
    .option('--no-auth-method', 'let it use every method that it has a credential for')
    .option('--no-jwks-url', 'no longer fetch its keys')
    .option('--no-spiffe-id', 'take all its SPIFFE IDs away')
    .option('--no-tls-client-auth', 'no longer know it by a name in a certificate')
    .action(updateClient)

  serverLeaf(
    client,
    'delete <client>',
    'delete a client with its credentials and grants',
    'countersign client delete svc-order-processor',
  ).action(deleteClient)

  clientSecretCommands(client)
  clientKeyCommands(client)
  grantCommands(client)
}

function clientFields(command: Command): Command {
  return command
    .option('--name <name>', 'a name for people')
    .option('--default-audience <url>', 'the API whose token it gets when it names none')
    .option('--disabled', 'refuse it tokens until it is enabled again')
    .addOption(
      new Option('--auth-method <method>', `limit it to this method (${authMethods.join(', ')}); repeatable`).argParser(
        oneOfMethods,
      ),
    )
    .addOption(
      new Option('--assertion-audience <what>', 'what its assertions name as "aud"').choices([
        'issuer',
        'token_endpoint',
      ]),
    )
    .option('--jwks-url <url>', 'where its public keys are fetched from')
    .addOption(
      new Option(
        '--spiffe-id <id>',
        'a SPIFFE ID of its workloads, or with /* at the end all below; repeatable',
      ).argParser((value, earlier: string[] | boolean | undefined) =>
        repeated(value, Array.isArray(earlier) ? earlier : []),
      ),
    )
    .option('--tls-subject-dn <name>', 'know its certificates by their subject (RFC 4514)')
    .option('--tls-san-dns <name>', 'know them by a host name in them')
    .option('--tls-san-uri <uri>', 'know them by a URI in them')
    .option('--tls-san-ip <address>', 'know them by an IP address in them')
    .option('--tls-san-email <address>', 'know them by an e-mail address in them')
}

async function createClient(
  options: ServerOptions & ClientFields & { id?: string; withSecret?: boolean },
): Promise<void> {
  const { id, withSecret } = options
  const body = { ...(id !== undefined && { id }), ...fieldsOf(options), ...(withSecret && { with_secret: true }) }
  const client = await withAdminApi(options, (admin) => admin.send<Client>('POST', '/clients', body))
  printResource(client, options, describeClient(client))
  if (options.json) return
  const hasIdentity = client.spiffe_ids.length > 0 || client.tls_client_auth !== null
  if (client.client_secret) note('\nThe secret is not shown again: keep it now, where only this client can read it.')
  else if (!hasIdentity)
    note(`\nIt has no credential yet; give it one with: countersign client secret create ${client.id}`)
}

async function listClients(options: ListOptions & { prefix?: string }): Promise<void> {
  const { limit, cursor, prefix: q } = options
  const page = await withAdminApi(options, (admin) => admin.list<Client>('/clients', { limit, cursor, query: { q } }))
  const nothing = 'There are no such clients; create one with: countersign client create --id NAME --with-secret'
  printList(page, { ...options, nothing }, [
    { title: 'ID', value: (client) => client.id },
    { title: 'NAME', value: (client) => client.name },
    { title: 'STATE', value: (client) => (client.disabled ? 'disabled' : 'enabled') },
    { title: 'DEFAULT AUDIENCE', value: (client) => client.default_audience },
    { title: 'CREATED', value: (client) => client.created_at },
  ])
}

async function getClient(id: string, options: ServerOptions): Promise<void> {
  const client = await withAdminApi(options, (admin) => admin.get<Client>(path`/clients/${id}`))
  printResource(client, options, describeClient(client))
}

async function updateClient(id: string, options: ServerOptions & ClientFields): Promise<void> {
  const changes = fieldsOf(options)
  if (Object.keys(changes).length === 0)
    throw wrongUse('nothing to change is named; give for example --name or --disabled, see --help')
  const client = await withAdminApi(options, (admin) => admin.send<Client>('PATCH', path`/clients/${id}`, changes))
  printResource(client, options, describeClient(client))
}

async function deleteClient(id: string, options: ServerOptions): Promise<void> {
  await withAdminApi(options, (admin) => admin.send('DELETE', path`/clients/${id}`))
  deleted(`Client ${id}`, { id }, options)
}

function fieldsOf(fields: ClientFields): Record<string, unknown> {
  const { name, defaultAudience, disabled, enabled, authMethod, assertionAudience, jwksUrl, spiffeId } = fields
  if (disabled && enabled) throw wrongUse('--disabled and --enabled contradict each other; give one of them')
  return {
    ...(name !== undefined && { name }),
    ...(defaultAudience !== undefined && { default_audience: defaultAudience || null }),
    ...((disabled || enabled) && { disabled: disabled === true }),
    ...(authMethod !== undefined && { auth_methods: authMethod || null }),
    ...(assertionAudience && { assertion_audience: assertionAudience }),
    ...(jwksUrl !== undefined && { jwks_uri: jwksUrl || null }),
    ...(spiffeId !== undefined && { spiffe_ids: spiffeId || [] }),
    ...tlsClientAuthOf(fields),
  }
}

/** RFC 8705 section 2.1.2: one name, and no other. */
function tlsClientAuthOf(fields: ClientFields): { tls_client_auth?: Record<string, string> | null } {
  const { tlsSubjectDn, tlsSanDns, tlsSanUri, tlsSanIp, tlsSanEmail } = fields
  const names = {
    subject_dn: tlsSubjectDn,
    san_dns: tlsSanDns,
    san_uri: tlsSanUri,
    san_ip: tlsSanIp,
    san_email: tlsSanEmail,
  }
  const given = Object.entries(names).filter((entry): entry is [string, string] => entry[1] !== undefined)
  if (given.length > 1 || (given.length === 1 && fields.tlsClientAuth === false)) {
    throw wrongUse('a client is known by one name in its certificates; give one of the --tls- options')
  }
  if (given.length === 1) return { tls_client_auth: Object.fromEntries(given) }
  return fields.tlsClientAuth === false ? { tls_client_auth: null } : {}
}

function oneOfMethods(value: string, earlier: string[] | boolean | undefined): string[] {
  if (!authMethods.includes(value)) {
    throw wrongUse(`--auth-method ${JSON.stringify(value)} is none of ${authMethods.join(', ')}; give one of these`)
  }
  return repeated(value, Array.isArray(earlier) ? earlier : [])
}

function describeClient(client: Client): [string, unknown][] {
  return [
    ['id', client.id],
    ['name', client.name],
    ['state', client.disabled ? 'disabled' : 'enabled'],
    ['default audience', client.default_audience],
    ['auth methods', client.auth_methods ?? 'all it has a credential for'],
    ['assertion audience', client.assertion_audience],
    ['keys fetched from', client.jwks_uri],
    ['SPIFFE IDs', client.spiffe_ids.length > 0 ? client.spiffe_ids : undefined],
    ['known by certificate', client.tls_client_auth && Object.entries(client.tls_client_auth).flat().join(' ')],
    ['created', client.created_at],
    ['updated', client.updated_at],
    ...(client.client_secret
      ? ([
          ['secret id', client.secret_id],
          ['client secret', client.client_secret],
        ] as [string, unknown][])
      : []),
  ]
}
