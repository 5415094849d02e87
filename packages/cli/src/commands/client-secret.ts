import type { Command } from 'commander'
import { path, withAdminApi } from '../admin-api.ts'
import { wrongUse } from '../cli-error.ts'
import {
  durationOption,
  futureOption,
  group,
  type ListOptions,
  listLeaf,
  type ServerOptions,
  serverLeaf,
} from '../command.ts'
import { deleted } from '../deleted.ts'
import { note, printList, printResource } from '../output.ts'
import type { ClientSecret } from '../resources.ts'

export function clientSecretCommands(client: Command): void {
  const secret = group(client, 'secret', 'secrets of a client; several may be valid at once')

  serverLeaf(
    secret,
    'create <client>',
    'make one more secret and print it, once',
    'countersign client secret create svc-order-processor --label 2026-q1 --expires-in 90d',
  )
    .option('--label <text>', 'to tell it from others')
    .option('--expires-in <duration>', 'how long it is valid, such as 90d', durationOption)
    .option(
      '--expires-at <time>',
      'until when it is valid: a time, a day, or how long from now, such as 90d',
      futureOption,
    )
    .action(createSecret)

  listLeaf(
    secret,
    'list <client>',
    'list the secrets of a client, never their values',
    'countersign client secret list svc-order-processor',
  ).action(listSecrets)

  serverLeaf(
    secret,
    'revoke <client> <secret-id>',
    'end a secret at once, on every replica',
    'countersign client secret revoke svc-order-processor sec_Zk3v',
  ).action(revokeSecret)
}

async function createSecret(
  client: string,
  options: ServerOptions & { label?: string; expiresIn?: number; expiresAt?: string },
): Promise<void> {
  const { label, expiresIn, expiresAt } = options
  if (expiresIn !== undefined && expiresAt !== undefined)
    throw wrongUse('--expires-in and --expires-at say the same thing; give one of them')
  const body = {
    ...(label !== undefined && { label }),
    ...(expiresIn !== undefined && { expires_in: expiresIn }),
    ...(expiresAt !== undefined && { expires_at: expiresAt }),
  }
  const secret = await withAdminApi(options, (admin) =>
    admin.send<ClientSecret>('POST', path`/clients/${client}/secrets`, body),
  )
  printResource(secret, options, [
    ['id', secret.id],
    ['client', secret.client_id],
    ['label', secret.label],
    ['expires', secret.expires_at ?? 'never'],
    ['client secret', secret.client_secret],
  ])
  if (!options.json) note('\nThe secret is not shown again: keep it now, where only this client can read it.')
}

async function listSecrets(client: string, options: ListOptions): Promise<void> {
  const { limit, cursor } = options
  const page = await withAdminApi(options, (admin) =>
    admin.list<ClientSecret>(path`/clients/${client}/secrets`, { limit, cursor }),
  )
  const nothing = `Client ${client} has no secrets; make one with: countersign client secret create ${client}`
  printList(page, { ...options, nothing }, [
    { title: 'ID', value: (secret) => secret.id },
    { title: 'LABEL', value: (secret) => secret.label },
    { title: 'CREATED', value: (secret) => secret.created_at },
    {
      title: 'EXPIRES',
      value: (secret) => (secret.expired ? `${secret.expires_at} (expired)` : (secret.expires_at ?? 'never')),
    },
    { title: 'LAST USED', value: (secret) => secret.last_used_at ?? 'never' },
  ])
}

async function revokeSecret(client: string, id: string, options: ServerOptions): Promise<void> {
  await withAdminApi(options, (admin) => admin.send('DELETE', path`/clients/${client}/secrets/${id}`))
  deleted(`Secret ${id} of client ${client}`, { id, client_id: client }, options, 'revoked')
}
