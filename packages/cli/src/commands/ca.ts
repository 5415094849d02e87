import { type Command, Option } from 'commander'
import { path, withAdminApi } from '../admin-api.ts'
import { group, type ListOptions, listLeaf, type ServerOptions, serverLeaf } from '../command.ts'
import { note, type OutputOptions, printList, printResource } from '../output.ts'
import type { CertificateAuthority } from '../resources.ts'

export function caCommands(program: Command, description: string): void {
  const ca = group(program, 'ca', description)

  listLeaf(ca, 'list', 'list the CAs and JWT-SVID keys of the trust domain', 'countersign ca list').action(list)

  withKind(
    serverLeaf(
      ca,
      'prepare',
      'make the next one and publish it in the bundle, so that everybody knows it before it signs',
      'countersign ca prepare --kind x509',
    ),
  ).action((options: ServerOptions & { kind: string }) =>
    send('/certificate-authorities/prepare', { kind: options.kind }, options),
  )

  serverLeaf(ca, 'activate <id>', 'sign with a prepared one from now on', 'countersign ca activate 01JD…')
    .option('--force', 'also before everybody can have heard of it')
    .action((id: string, options: ServerOptions & { force?: boolean }) =>
      send(path`/certificate-authorities/${id}/activate`, { force: options.force }, options),
    )

  withKind(
    serverLeaf(
      ca,
      'rotate',
      'prepare one, and have it sign as soon as everybody can have heard of it',
      'countersign ca rotate --kind x509',
    ),
  )
    .option('--force', 'at once: who has not fetched the bundle since does not trust what it signs')
    .action((options: ServerOptions & { kind: string; force?: boolean }) =>
      send('/certificate-authorities/rotate', { kind: options.kind, force: options.force }, options),
    )

  serverLeaf(
    ca,
    'taint <id>',
    'have everything renewed that a former one has signed, while it is still trusted',
    'countersign ca taint 3fd2…',
  ).action((id: string, options: ServerOptions) => send(path`/certificate-authorities/${id}/taint`, {}, options))

  serverLeaf(
    ca,
    'revoke <id>',
    'its key has leaked: drop it from the bundle; what it signed is good for nothing from then on',
    'countersign ca revoke 3fd2…',
  )
    .option('--force', 'also one that signs now or is not tainted; another takes its place')
    .action((id: string, options: ServerOptions & { force?: boolean }) =>
      send(path`/certificate-authorities/${id}/revoke`, { force: options.force }, options),
    )
}

function withKind(command: Command): Command {
  return command.addOption(
    new Option('--kind <kind>', 'the CA of certificates, or the key of JWT-SVIDs')
      .choices(['x509', 'jwt'])
      .default('x509'),
  )
}

async function list(options: ListOptions): Promise<void> {
  const { limit, cursor } = options
  const page = await withAdminApi(options, (admin) =>
    admin.list<CertificateAuthority>('/certificate-authorities', { limit, cursor }),
  )
  const nothing = 'There are none: the server has no spiffe.trust_domain in its configuration.'
  printList(page, { ...options, nothing }, [
    { title: 'ID', value: ({ id }) => id },
    { title: 'KIND', value: ({ kind }) => kind },
    {
      title: 'STATUS',
      value: ({ status, tainted_at }) => (tainted_at !== null && status !== 'revoked' ? `${status}, tainted` : status),
    },
    { title: 'ACTIVE SINCE', value: ({ activated_at }) => activated_at },
    { title: 'GOOD UNTIL', value: ({ expires_at }) => expires_at },
  ])
}

async function send(at: string, body: object, options: ServerOptions): Promise<void> {
  const authority = await withAdminApi(options, (admin) => admin.send<CertificateAuthority>('POST', at, body))
  print(authority, options)
  if (!options.json && authority.status === 'prepared') {
    const then = authority.activation_asked_at === null ? '' : ' It signs as soon as all can have heard of it.'
    note(
      `\nIt is in the bundle now. Agents hear of it within seconds, federated trust domains at their refresh.${then}`,
    )
  }
}

function print(authority: CertificateAuthority, options: OutputOptions): void {
  printResource(authority, options, [
    ['id', authority.id],
    ['kind', authority.kind],
    ['status', authority.status],
    ['prepared', authority.created_at],
    ['active since', authority.activated_at],
    ['retired', authority.retired_at],
    ['tainted', authority.tainted_at],
    ['revoked', authority.revoked_at],
    ['good until', authority.expires_at],
  ])
}
