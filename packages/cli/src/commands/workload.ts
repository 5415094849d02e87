import type { Command } from 'commander'
import { type AdminApi, path, withAdminApi } from '../admin-api.ts'
import { wrongUse } from '../cli-error.ts'
import {
  durationOption,
  futureOption,
  group,
  type ListOptions,
  leaf,
  listLeaf,
  repeated,
  type ServerOptions,
  serverLeaf,
} from '../command.ts'
import { deleted } from '../deleted.ts'
import { formatDuration } from '../duration.ts'
import { note, type OutputOptions, printList, printResource } from '../output.ts'
import type { Entry } from '../resources.ts'
import { doubtfulSelectors } from '../workload/doubtful-selectors.ts'
import { explainProcess } from '../workload/explain.ts'
import { unknownTrustDomains } from '../workload/unknown-trust-domains.ts'

export function workloadCommands(program: Command, description: string): void {
  const workload = group(program, 'workload', description)

  withPolicy(
    serverLeaf(
      workload,
      'create',
      'register a workload: who it is, on which node, and how it is recognised',
      'countersign workload create --spiffe-id spiffe://shop.example/order --parent-id spiffe://shop.example/node/a --selector unix:user:order',
    ),
  )
    .requiredOption('--spiffe-id <id>', 'who it is then')
    .requiredOption('--parent-id <id>', 'the node (or other entry) below which it runs; see countersign node list')
    .requiredOption('--selector <selector>', 'what must be seen of it: unix:uid:1000; all of them (repeat)', repeated)
    .option('--downstream', 'kept and told as SPIRE has it: it would be a server below this one')
    .option('--admin', 'kept and told as SPIRE has it: it would administer a SPIRE server')
    .action(create)

  listLeaf(workload, 'list', 'list registration entries', 'countersign workload list --selector unix:uid:1000')
    .option('--spiffe-id <id>', 'only of this identity')
    .option('--parent-id <id>', 'only below this node or entry')
    .option('--selector <selector>', 'only with this selector')
    .action(list)

  serverLeaf(workload, 'get <entry>', 'show a registration entry', 'countersign workload get 01JD…').action(get)

  withPolicy(
    serverLeaf(
      workload,
      'update <entry>',
      'change a registration entry; what is not named stays',
      'countersign workload update 01JD… --ttl 15m --not-root',
    ),
  )
    .option('--spiffe-id <id>', 'who it is then')
    .option('--parent-id <id>', 'the node (or other entry) below which it runs')
    .option('--selector <selector>', 'in the place of the selectors it has (repeat)', repeated)
    .option('--no-policy', 'demand no more than the selectors')
    .action(update)

  serverLeaf(
    workload,
    'delete <entry>',
    'delete a registration entry: its workloads lose their identity within seconds',
    'countersign workload delete 01JD…',
  ).action(remove)

  serverLeaf(
    workload,
    'import <file>',
    'take over the entries of a SPIRE server; what is here already stays',
    'spire-server entry show -output json > entries.json && countersign workload import entries.json',
  ).action(async (file: string, options: ServerOptions) => {
    const { importEntries } = await import('../workload/import-entries.ts')
    await importEntries(file, options)
  })

  leaf(
    workload,
    'explain <pid>',
    'what the agent on this machine sees of a process, and which entries fit it or why not',
    'countersign workload explain 4711',
  )
    .option('--agent <socket>', "the agent's admin socket; also COUNTERSIGN_AGENT_ADMIN_SOCKET")
    .action(explain)
}

interface EntryOptions {
  spiffeId?: string
  parentId?: string
  selector?: string[]
  ttl?: number
  jwtTtl?: number
  dnsName?: string[]
  hint?: string
  federatesWith?: string[]
  expiresAt?: string
  admin?: boolean
  downstream?: boolean
  binarySha256?: string[]
  notRoot?: boolean
  nodeAttestedWithin?: number
  policy?: boolean
}

function withPolicy(command: Command): Command {
  return command
    .option('--ttl <duration>', 'how long its X.509-SVIDs live (default: as the server says, 1h)', durationOption)
    .option('--jwt-ttl <duration>', 'how long its JWT-SVIDs live (default: as the server says, 5m)', durationOption)
    .option('--dns-name <name>', 'also in its certificates (repeat)', repeated)
    .option('--hint <hint>', 'by which a workload with several identities tells them apart')
    .option('--federates-with <domain>', 'a trust domain whose bundle it gets (repeat)', repeated)
    .option(
      '--expires-at <time>',
      'when the entry ends by itself: a time, a day, or how long from now, such as 8h',
      futureOption,
    )
    .option('--binary-sha256 <hash>', 'policy: only this binary, or another that is named (repeat)', repeated)
    .option('--not-root', 'policy: never for uid 0')
    .option('--node-attested-within <duration>', 'policy: only while its node proved itself so lately', durationOption)
}

async function create(options: ServerOptions & EntryOptions): Promise<void> {
  await withAdminApi(options, async (admin) => {
    printEntry(await admin.send<Entry>('POST', '/entries', fieldsOf(options)), options)
    if (!options.json) note('\nAgents hear of it within seconds.')
    await sayDoubts(options, admin)
  })
}

/** On stderr: an entry that fits nothing is allowed, and hardly what was meant. */
async function sayDoubts({ selector = [], federatesWith = [] }: EntryOptions, admin: AdminApi): Promise<void> {
  const doubts = [...doubtfulSelectors(selector), ...(await unknownTrustDomains(admin, federatesWith))]
  for (const doubt of doubts) note(`warning: ${doubt}`)
}

async function list(options: ListOptions & { spiffeId?: string; parentId?: string; selector?: string }): Promise<void> {
  const { limit, cursor, spiffeId, parentId, selector } = options
  const query = { spiffe_id: spiffeId, parent_id: parentId, selector }
  const page = await withAdminApi(options, (admin) => admin.list<Entry>('/entries', { limit, cursor, query }))
  const nothing =
    'There are no such entries; make one with: countersign workload create --spiffe-id ID --parent-id NODE --selector unix:uid:1000'
  printList(page, { ...options, nothing }, [
    { title: 'ENTRY', value: ({ id }) => id },
    { title: 'SPIFFE ID', value: ({ spiffe_id }) => spiffe_id },
    { title: 'PARENT', value: ({ parent_id }) => parent_id },
    { title: 'SELECTORS', value: ({ selectors }) => selectors },
    { title: 'POLICY', value: policyOf },
  ])
}

async function get(entry: string, options: ServerOptions): Promise<void> {
  printEntry(await withAdminApi(options, (admin) => admin.get<Entry>(path`/entries/${entry}`)), options)
}

async function update(entry: string, options: ServerOptions & EntryOptions): Promise<void> {
  const fields = fieldsOf(options)
  if (options.policy === false) {
    if (fields.policy !== undefined)
      throw wrongUse('--no-policy takes the policy away; leave the other policy options out')
    fields.policy = null
  }
  if (Object.keys(fields).length === 0) throw wrongUse('there is nothing to change; name what, such as --ttl 15m')
  await withAdminApi(options, async (admin) => {
    const at = path`/entries/${entry}`
    // A policy is one field of the entry: what of it is not named stays.
    if (fields.policy) fields.policy = { ...(await admin.get<Entry>(at)).policy, ...fields.policy }
    printEntry(await admin.send<Entry>('PATCH', at, fields), options)
    await sayDoubts(options, admin)
  })
}

async function remove(entry: string, options: ServerOptions): Promise<void> {
  await withAdminApi(options, (admin) => admin.send('DELETE', path`/entries/${entry}`))
  deleted(`Entry ${entry}`, { id: entry }, options)
}

async function explain(pid: string, options: OutputOptions & { agent?: string }): Promise<void> {
  if (!/^[1-9]\d{0,9}$/.test(pid)) throw wrongUse(`${JSON.stringify(pid)} is no process id; see: pgrep -l NAME`)
  await explainProcess(Number(pid), options)
}

/** The admin API's members of the options that were given. */
function fieldsOf(options: EntryOptions): Partial<Entry> {
  const policy = given({
    binary_sha256: options.binarySha256,
    not_root: options.notRoot,
    node_attested_within: options.nodeAttestedWithin,
  })
  return given({
    spiffe_id: options.spiffeId,
    parent_id: options.parentId,
    selectors: options.selector,
    x509_svid_ttl: options.ttl,
    jwt_svid_ttl: options.jwtTtl,
    dns_names: options.dnsName,
    hint: options.hint,
    federates_with: options.federatesWith,
    expires_at: options.expiresAt,
    admin: options.admin,
    downstream: options.downstream,
    policy: Object.keys(policy).length === 0 ? undefined : policy,
  })
}

function given<Fields extends object>(fields: Fields): Partial<Fields> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Partial<Fields>
}

function printEntry(entry: Entry, options: OutputOptions): void {
  printResource(entry, options, [
    ['entry', entry.id],
    ['spiffe id', entry.spiffe_id],
    ['parent', entry.parent_id],
    ['selectors', entry.selectors],
    ['policy', policyOf(entry)],
    ['certificates live', lifeOf(entry.x509_svid_ttl)],
    ['JWTs live', lifeOf(entry.jwt_svid_ttl)],
    ['DNS names', entry.dns_names],
    ['hint', entry.hint],
    ['federates with', entry.federates_with],
    ['ends', entry.expires_at],
    ['revision', entry.revision_number],
    ['created', entry.created_at],
    ['updated', entry.updated_at],
  ])
}

function policyOf({ policy }: Entry): string[] {
  const { binary_sha256: hashes = [], not_root, node_attested_within: within } = policy ?? {}
  return [
    ...(hashes.length > 0 ? [`binary ${hashes.map((hash) => `${hash.slice(0, 12)}…`).join(' or ')}`] : []),
    ...(not_root ? ['not root'] : []),
    ...(within ? [`node attested within ${formatDuration(within)}`] : []),
  ]
}

function lifeOf(seconds: number): string {
  return seconds ? formatDuration(seconds) : 'as the server says'
}
