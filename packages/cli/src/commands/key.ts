import { type Command, Option } from 'commander'
import { path, withAdminApi } from '../admin-api.ts'
import { group, type ListOptions, listLeaf, type ServerOptions, serverLeaf } from '../command.ts'
import { note, printList, printResource } from '../output.ts'
import type { SigningKey } from '../resources.ts'

export function keyCommands(program: Command, description: string): void {
  const key = group(program, 'key', description)

  listLeaf(key, 'list', 'list the signing keys', 'countersign key list').action(listKeys)

  serverLeaf(
    key,
    'rotate',
    'sign with the next key from now on; tokens of the present one stay valid',
    'countersign key rotate --alg ES256',
  )
    .addOption(new Option('--alg <algorithm>', 'of which key').choices(['ES256', 'RS256', 'EdDSA']).default('ES256'))
    .action(rotateKey)

  serverLeaf(
    key,
    'revoke <kid>',
    'withdraw a key at once: every token it signed is refused from now on',
    'countersign key revoke 8sJm-Zk3v',
  ).action(revokeKey)
}

async function listKeys(options: ListOptions): Promise<void> {
  const { limit, cursor } = options
  const page = await withAdminApi(options, (admin) => admin.list<SigningKey>('/signing-keys', { limit, cursor }))
  printList(page, options, [
    { title: 'KID', value: (key) => key.kid },
    { title: 'ALG', value: (key) => key.algorithm },
    { title: 'STATUS', value: (key) => key.status },
    { title: 'CREATED', value: (key) => key.created_at },
    { title: 'ACTIVE SINCE', value: (key) => key.activated_at },
    { title: 'ENDED', value: (key) => key.revoked_at ?? key.retired_at },
  ])
}

async function rotateKey(options: ServerOptions & { alg: string }): Promise<void> {
  const key = await withAdminApi(options, (admin) =>
    admin.send<SigningKey>('POST', '/signing-keys/rotate', { algorithm: options.alg }),
  )
  printResource(key, options, describeKey(key))
}

async function revokeKey(kid: string, options: ServerOptions): Promise<void> {
  const key = await withAdminApi(options, (admin) => admin.send<SigningKey>('POST', path`/signing-keys/${kid}/revoke`))
  printResource(key, options, describeKey(key))
  if (!options.json)
    note(
      '\nGuards that follow the revocation feed refuse its tokens within seconds, others when they next fetch the keys.',
    )
}

function describeKey(key: SigningKey): [string, unknown][] {
  return [
    ['kid', key.kid],
    ['algorithm', key.algorithm],
    ['status', key.status],
    ['created', key.created_at],
    ['active since', key.activated_at],
    ['retired', key.retired_at],
    ['revoked', key.revoked_at],
  ]
}
